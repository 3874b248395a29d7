"""The whole story on an emulator of AWS, with the functions' real binaries.

    .ci/e2e                   builds, deploys and runs it
    .ci/e2e --kills 100       the same, with more processes killed

The untouched template is deployed by `sam deploy` on ministack, with signatures and IAM enforced. The
platform and the customer have an account each. What is checked:

1. A project that is created in Braintrust gets its automation, and its rows arrive in the customer's
   bucket, each once, as DuckDB and pyarrow read them back.
2. Audit events arrive in the customer's bucket, each once, while processes of the functions are killed
   by SIGKILL in the middle of their work, and across a pause.
3. What was delivered is delivered again by a replay, beside the live stream.
4. A role that lets in any ExternalId gets nothing.
5. A destination by access keys gets the same events; its keys lie in the parameter store, in no document and no line of
   a log; and are gone from there with the destination.

At the end comes a table of the functions' sizes and starts: see benches/start.py.

What the emulator does not do as AWS does, and so this cannot show: see docs/deploy.md.
"""

import argparse
import gzip
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

from emulator import Account, Braintrust, Emulator, deploy

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "benches"))
import start  # noqa: E402

PLATFORM = "111111111111"
CUSTOMER = "222222222222"
ORGANIZATION = "5abfae3a-7aa7-4653-a9c8-b3efcb18f584"
TENANT = "acme"
STACK = "sealift"
PRINCIPAL = f"arn:aws:iam::{PLATFORM}:role/sealift-principal"
# What a killed process was at comes again after this time. The template's own, six times a function's timeout, would have
# the story wait for six minutes after each batch that was killed. A batch that takes longer than this is handled twice at
# once, which must do no harm.
VISIBILITY_SECONDS = 20


class Wrong(Exception):
    """What came out is not what must."""


def say(text):
    print(f"{time.strftime('%H:%M:%S')}  {text}", flush=True)


def wait(what, found, seconds=240):
    """Waits until `found` answers something, and gives it."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        answer = found()
        if answer:
            return answer
        time.sleep(0.5)
    raise Wrong(f"{what}: not within {seconds} s")


def policies(*arguments):
    """The policies that `sealift` prints for a customer."""
    command = [ROOT / "target" / "debug" / "sealift", *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise Wrong(f"sealift {' '.join(arguments)}: {done.stderr}")
    return json.loads(done.stdout)


class Story:
    def __init__(self, options, emulator, braintrust, folder):
        self.options, self.emulator, self.braintrust, self.folder = options, emulator, braintrust, folder
        self.platform, self.customer = Account(emulator, PLATFORM), Account(emulator, CUSTOMER)
        self.chance = random.Random(options.seed)
        self.sent = []
        self.killed = 0

    # ---- Setting up ---------------------------------------------------------------------------

    def deploy(self):
        self.platform.ssm.put_parameter(
            Name="/sealift/braintrust-api-key", Value=self.braintrust.key, Type="SecureString"
        )
        role = f"arn:aws:iam::{CUSTOMER}:role/sealift-exports"
        self.outputs = deploy(
            self.options.sam, self.emulator, self.platform, STACK,
            {
                "Architecture": self.options.architecture,
                "ApiUrl": self.braintrust.url,
                "ApiRequestsPerMinute": "1000",
                "BatchWindowSeconds": "1",
                "ExportLagSeconds": "0",
                "FlushIntervalSeconds": "2",
                "OrganizationId": ORGANIZATION,
                "ProvisionDefinition": "log_spans",
                "ProvisionIntervalSeconds": "60",
                "ProvisionPath": "s3://acme-exports/braintrust/<project-slug>",
                "ProvisionRoleArn": role,
                "ProvisionStart": "0",
                "RelayOrganizationId": ORGANIZATION,
                # Long before the relay's first run.
                "RelayStart": time.strftime("%Y-%m-%d", time.gmtime(time.time() - 86400)),
            },
        )

    def hasten(self):
        """Has messages of killed processes come again soon."""
        for url in self.platform.sqs.list_queues().get("QueueUrls", []):
            attributes = {"VisibilityTimeout": str(VISIBILITY_SECONDS)}
            self.platform.sqs.set_queue_attributes(QueueUrl=url, Attributes=attributes)

    def functions(self):
        """The functions by name, each with its binary and the variables that the template gives it."""
        client = getattr(self.platform, "lambda")
        found = []
        for function in client.list_functions()["Functions"]:
            name = function["FunctionName"].removeprefix(f"{STACK}-")
            logical = "".join(word.capitalize() for word in name.split("-"))
            bootstrap = ROOT / ".aws-sam/build" / logical / "bootstrap"
            found.append((name, bootstrap, function["Environment"]["Variables"]))
        return sorted(found)

    def onboard(self):
        """What the customer's administrator does for exports: a bucket and a role."""
        self.customer.s3.create_bucket(Bucket="acme-exports")
        self.role(
            "sealift-exports",
            policies("policy", "trust", "--org", ORGANIZATION, "--account", PLATFORM),
            policies("policy", "permissions", "--bucket", "acme-exports", "--prefix", "braintrust/", "--export"),
        )

    def role(self, name, trust, permissions):
        self.customer.iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))
        self.customer.iam.put_role_policy(
            RoleName=name, PolicyName="write", PolicyDocument=json.dumps(permissions)
        )

    # ---- Destinations -------------------------------------------------------------------------

    def control(self, method, path, body=None):
        """A request of the control API, as API Gateway hands one by an operator over."""
        path = f"/v1/organizations/{TENANT}/destinations{path}"
        event = {
            "version": "2.0",
            "routeKey": "$default",
            "rawPath": path,
            "rawQueryString": "",
            "headers": {"content-type": "application/json", "host": "control.example"},
            "requestContext": {
                "accountId": PLATFORM,
                "authorizer": {"iam": {
                    "accountId": PLATFORM,
                    "userArn": f"arn:aws:sts::{PLATFORM}:assumed-role/operators/story",
                    "userId": "AROASTORY:story",
                }},
                "http": {"method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "198.51.100.7"},
                "requestId": uuid.uuid4().hex,
                "routeKey": "$default",
                "stage": "$default",
            },
            "isBase64Encoded": False,
        }
        if body is not None:
            event["body"] = json.dumps(body)
        client = getattr(self.platform, "lambda")
        answer = client.invoke(FunctionName=f"{STACK}-control-api", Payload=json.dumps(event).encode())
        answer = json.loads(answer["Payload"].read())
        return answer.get("statusCode"), json.loads(answer.get("body") or "null")

    def must(self, status, method, path, body=None):
        given, answer = self.control(method, path, body)
        if given != status:
            raise Wrong(f"{method} {path} was answered with {given}, not {status}: {json.dumps(answer)[:2000]}")
        return answer

    def destination(self, name, bucket, authentication):
        """Creates a destination, and gives the answer."""
        return self.must(201, "POST", "", {
            "id": name,
            "bucket": bucket,
            "region": "us-east-1",
            # The emulator has one host for all buckets.
            "path_style": True,
            "authentication": authentication,
        })

    def destination_by_role(self, name, bucket, role):
        """Creates a destination, and gives the ExternalId that its role must ask for."""
        role_arn = f"arn:aws:iam::{CUSTOMER}:role/{role}"
        answer = self.destination(name, bucket, {"type": "iam_role", "role_arn": role_arn})
        if answer["principal_arn"] != PRINCIPAL:
            raise Wrong(f"the principal to trust is {answer['principal_arn']}, not {PRINCIPAL}")
        return answer["external_id"]

    # ---- Audit events -------------------------------------------------------------------------

    def send(self, count):
        """Puts events on the bus, and remembers their ids."""
        while count:
            entries = []
            for _ in range(min(count, 10)):
                event = {
                    "id": str(uuid.uuid4()),
                    "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
                    "org_id": TENANT,
                    "event_type": self.chance.choice(["project.updated", "api_key.deleted", "acl.created"]),
                    "padding": "x" * self.chance.randrange(2000),
                }
                entries.append({
                    "Source": "story",
                    "DetailType": event["event_type"],
                    "Detail": json.dumps(event),
                    "EventBusName": self.outputs["BusName"],
                })
            answer = self.platform.events.put_events(Entries=entries)
            for entry, result in zip(entries, answer["Entries"]):
                if "EventId" in result:
                    self.sent.append(json.loads(entry["Detail"])["id"])
            count -= len(entries)

    def send_by_command(self, count):
        """Puts events on the bus as an operator does, who knows the stack's name alone."""
        events = [
            {"id": str(uuid.uuid4()), "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "org_id": TENANT,
             "event_type": "acl.created", "padding": ""}
            for _ in range(count)
        ]
        file = self.folder / "events.jsonl"
        file.write_text("".join(json.dumps(event) + "\n" for event in events))
        command = [ROOT / "target/debug/sealift", "events", "put", str(file), "--stack", STACK, "--region", "us-east-1"]
        environment = {
            **os.environ,
            "AWS_ENDPOINT_URL": self.emulator.url,
            "AWS_ACCESS_KEY_ID": PLATFORM,
            "AWS_SECRET_ACCESS_KEY": "emulated",
            "SSL_CERT_FILE": str(self.emulator.certificate),
        }
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        if done.returncode:
            raise Wrong(f"sealift events put: {done.stderr}")
        self.sent += [event["id"] for event in events]
        say(f"sealift events put --stack {STACK}: {done.stdout.strip()}")

    def arrived(self, bucket="acme-audit", prefix="audit-events/date="):
        """The ids that lie in the customer's bucket, in the order of keys and lines."""
        ids = []
        pages = self.customer.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        for page in pages:
            for found in page.get("Contents", []):
                body = self.customer.s3.get_object(Bucket=bucket, Key=found["Key"])["Body"].read()
                ids += [json.loads(line)["id"] for line in gzip.decompress(body).splitlines()]
        return ids

    def compare(self, what):
        """All that was sent is there, each once."""
        wanted = set(self.sent)
        wait(f"{what}: all events", lambda: wanted <= set(self.arrived()), self.options.patience)
        ids = [i for i in self.arrived() if i in wanted]
        if len(ids) != len(set(ids)):
            raise Wrong(f"{what}: {len(ids) - len(set(ids))} events were delivered twice")
        say(f"{what}: {len(wanted)} events, each once")

    def kill_some(self, count, pause):
        """Kills processes of functions in the middle of what they do, while events come in."""
        missed = 0
        goal = self.killed + count
        while self.killed < goal:
            self.send(self.chance.randrange(1, 30))
            time.sleep(self.chance.random() * pause)
            running = self.emulator.functions()
            if not running:
                missed += 1
                if missed > 600:
                    raise Wrong("there were no processes of functions to kill")
                continue
            try:
                os.kill(self.chance.choice(running), signal.SIGKILL)
                self.killed += 1
            except ProcessLookupError:
                pass

    # ---- The chapters -------------------------------------------------------------------------

    def exports(self):
        rows = self.folder / "rows.jsonl"
        rows.write_bytes(gzip.decompress((ROOT / "events/corpus/spans.jsonl.gz").read_bytes()))
        project = self.braintrust.call("POST", "/v1/project", {"name": "Grade school math"})["id"]
        count = self.braintrust.load(project, rows)
        ledger = wait("the project gets its automation", lambda: self.state("provisioning/ledger.json"))
        slug = ledger["body"]["projects"][project]["slug"]
        say(f"project {project} was provisioned as {slug}")
        prefix = f"braintrust/{slug}/"

        def files():
            found = self.customer.s3.list_objects_v2(Bucket="acme-exports", Prefix=prefix).get("Contents", [])
            return [f["Key"] for f in found if f["Key"].endswith(".parquet")]

        wait("its export", files, self.options.patience)
        folder = self.folder / "exports"

        def all_there():
            for key in files():
                path = folder / key
                path.parent.mkdir(parents=True, exist_ok=True)
                self.customer.s3.download_file("acme-exports", key, str(path))
            return self.duckdb(f"{folder}/**/*.parquet", "parquet")[0] >= count

        wait("all of its rows", all_there, self.options.patience)
        total, distinct = self.duckdb(f"{folder}/**/*.parquet", "parquet")
        import pyarrow.dataset

        read = pyarrow.dataset.dataset(str(folder), format="parquet").count_rows()
        if not total == distinct == read == count:
            raise Wrong(f"{count} rows went in; DuckDB reads {total} of {distinct} ids, pyarrow {read}")
        say(f"exports: {count} rows, each once, as DuckDB and pyarrow read them")

    def duckdb(self, files, kind, where="true"):
        import duckdb

        return duckdb.connect().execute(
            f"select count(*), count(distinct id) from read_{kind}('{files}', hive_partitioning = false) where {where}"
        ).fetchone()

    def state(self, key):
        try:
            body = self.platform.s3.get_object(Bucket=self.outputs["StateBucketName"], Key=key)["Body"].read()
            return json.loads(body)
        except self.platform.s3.exceptions.NoSuchKey:
            return None

    def audit(self):
        self.customer.s3.create_bucket(Bucket="acme-audit")
        external_id = self.destination_by_role("acme-audit", "acme-audit", "sealift-audit")
        self.role(
            "sealift-audit",
            policies("policy", "trust", "--principal", PRINCIPAL, "--external-id", external_id),
            policies("policy", "permissions", "--bucket", "acme-audit", "--prefix", "audit-events/"),
        )
        verdict = self.must(200, "POST", "/acme-audit/check")
        if verdict["verdict"] != "healthy":
            raise Wrong(f"the check of a good role says {json.dumps(verdict)[:3000]}")
        self.must(200, "POST", "/acme-audit/start", {})
        self.send(50)
        self.send_by_command(25)
        self.compare("audit")
        self.kill_some(self.options.kills // 2, 0.5)
        self.compare(f"{self.killed} processes killed")
        self.must(200, "POST", "/acme-audit/pause")
        # Longer than a flush, so that the pause is seen.
        time.sleep(6)
        before = len(self.arrived())
        self.send(100)
        time.sleep(8)
        if len(self.arrived()) != before:
            raise Wrong("events were delivered to a paused destination")
        self.must(200, "POST", "/acme-audit/start", {})
        self.kill_some(self.options.kills - self.killed, 0.5)
        self.compare(f"a pause, and {self.killed} processes killed")
        status = self.must(200, "GET", "/acme-audit/status")
        if status["state"] != "streaming" or status["counts"]["delivered"] < len(self.sent):
            raise Wrong(f"the status says {json.dumps(status)[:2000]}")
        self.read_back()

    def unsafe(self):
        """A role that lets in any ExternalId gets nothing."""
        self.customer.s3.create_bucket(Bucket="acme-open")
        self.destination_by_role("acme-open", "acme-open", "sealift-open")
        trust = policies("policy", "trust", "--principal", PRINCIPAL, "--external-id", "x" * 64)
        for statement in trust["Statement"]:
            statement["Condition"] = {"StringLike": {"sts:ExternalId": "*"}}
        permissions = policies("policy", "permissions", "--bucket", "acme-open", "--prefix", "audit-events/")
        self.role("sealift-open", trust, permissions)
        verdict = self.must(200, "POST", "/acme-open/check")["verdict"]
        if verdict != "unsafe":
            raise Wrong(f"the check of a role that lets in everybody says {verdict}")
        refused = self.must(409, "POST", "/acme-open/start", {})
        self.send(20)
        self.compare("with an unsafe destination beside")
        if self.arrived("acme-open"):
            raise Wrong("events were delivered by an unsafe role")
        say(f"an unsafe role was refused: {refused['error']['message'][:120]}")

    def replay(self):
        """What was delivered is delivered again, beside the live stream."""
        before = self.arrived()
        day = [time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + far)) for far in (-43200, 43200)]
        asked = self.must(201, "POST", "/acme-audit/replay", {"from": day[0], "to": day[1]})

        def over():
            replays = self.must(200, "GET", "/acme-audit/status")["replays"]
            found = [replay for replay in replays if replay["id"] == asked["id"]]
            if found and found[0]["state"] in ("failed", "cancelled"):
                raise Wrong(f"the replay ended as {json.dumps(found[0])}")
            return not found or found[0]["state"] == "done"

        wait("the replay", over, self.options.patience)
        again = self.arrived(prefix=asked["prefix"])
        wanted = set(self.sent)
        if sorted(i for i in again if i in wanted) != sorted(self.sent):
            raise Wrong(f"{len(self.sent)} events were to be replayed, and {len(again)} lines lie in {asked['prefix']}")
        if sorted(i for i in self.arrived() if i in wanted) != sorted(i for i in before if i in wanted):
            raise Wrong("a replay changed what the live stream had delivered")
        say(f"replay: the same {len(self.sent)} events once more, in {asked['prefix']}")

    def access_keys(self):
        """A destination by access keys: they are in the parameter store and nowhere else."""
        bucket = "acme-keys"
        self.customer.s3.create_bucket(Bucket=bucket)
        self.customer.iam.create_user(UserName="sealift")
        permissions = policies("policy", "permissions", "--bucket", bucket, "--prefix", "audit-events/")
        self.customer.iam.put_user_policy(
            UserName="sealift", PolicyName="write", PolicyDocument=json.dumps(permissions)
        )
        key = self.customer.iam.create_access_key(UserName="sealift")["AccessKey"]
        secret = key["SecretAccessKey"]
        self.destination(bucket, bucket, {
            "type": "access_keys", "access_key_id": key["AccessKeyId"], "secret_access_key": secret
        })
        verdict = self.must(200, "POST", f"/{bucket}/check")
        if verdict["verdict"] != "healthy":
            raise Wrong(f"the check of good access keys says {json.dumps(verdict)[:3000]}")
        self.must(200, "POST", f"/{bucket}/start", {})
        first = len(self.sent)
        self.send(30)
        sent = set(self.sent[first:])
        wait("events by access keys", lambda: sent <= set(self.arrived(bucket)), self.options.patience)
        ids = [i for i in self.arrived(bucket) if i in set(self.sent)]
        if sorted(ids) != sorted(sent):
            raise Wrong(f"{len(sent)} events were sent after the start, and {len(ids)} arrived")

        def stored():
            found = self.platform.ssm.describe_parameters()["Parameters"]
            return [p for p in found if p["Name"].startswith("/sealift/access-keys/") or bucket in p["Name"]]

        if [parameter["Type"] for parameter in stored()] != ["SecureString"]:
            raise Wrong(f"the parameters of access keys are {stored()}")
        self.must(204, "DELETE", f"/{bucket}")
        if stored():
            raise Wrong("access keys were left behind by a destination that was removed")
        self.keep_logs()
        for place, text in self.texts():
            if secret in text:
                raise Wrong(f"the secret of the access keys lies in {place}")
        say(f"access keys: {len(sent)} events, each once; the secret in no document, object or line of a log")

    def texts(self):
        """All that the stack has written down, with its place."""
        places = [(self.platform, self.outputs["StateBucketName"]), (self.platform, self.outputs["LogBucketName"]),
                  (self.customer, "acme-audit"), (self.customer, "acme-keys")]
        for account, bucket in places:
            for page in account.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
                for found in page.get("Contents", []):
                    body = account.s3.get_object(Bucket=bucket, Key=found["Key"])["Body"].read()
                    if found["Key"].endswith(".gz"):
                        body = gzip.decompress(body)
                    yield f"s3://{bucket}/{found['Key']}", body.decode(errors="replace")
        logs = list(self.folder.glob(f"{STACK}-*.log"))
        if not any("acme-keys" in log.read_text() for log in logs):
            raise Wrong("no line of a log tells of the destination by access keys: there is nothing to search")
        for log in logs:
            yield str(log), log.read_text()

    def read_back(self):
        folder = self.folder / "audit"
        pages = self.customer.s3.get_paginator("list_objects_v2").paginate(Bucket="acme-audit", Prefix="audit-events/date")
        for page in pages:
            for found in page.get("Contents", []):
                path = folder / found["Key"]
                path.parent.mkdir(parents=True, exist_ok=True)
                self.customer.s3.download_file("acme-audit", found["Key"], str(path))
        lines = f"{folder}/**/*.jsonl.gz"
        total, distinct = self.duckdb(lines, "json_auto", "padding is not null")
        if not total == distinct == len(self.sent):
            raise Wrong(f"{len(self.sent)} events went in; DuckDB reads {total} of {distinct} ids")
        # What was done to the destination stands in the organization's own trail.
        own, _ = self.duckdb(lines, "json_auto", "event_type in ('destination.started', 'destination.paused')")
        if own < 3:
            raise Wrong(f"only {own} audit entries tell of a start, a pause and another start")
        say(f"audit: DuckDB reads the same {total} events from the objects as they lie, and {own} of what was done")

    def keep_logs(self):
        """Writes what the functions logged into the folder."""
        groups = self.platform.logs.describe_log_groups(logGroupNamePrefix="/aws/lambda/")["logGroups"]
        for name in [group["logGroupName"] for group in groups]:
            lines = []
            for page in self.platform.logs.get_paginator("filter_log_events").paginate(logGroupName=name):
                lines += [event["message"].rstrip() for event in page["events"]]
            (self.folder / f"{name.rpartition('/')[2]}.log").write_text("\n".join(lines))

    def run(self):
        self.deploy()
        say(f"deployed: {len(self.outputs)} outputs")
        self.onboard()
        self.hasten()
        self.measured = self.functions()
        self.exports()
        self.audit()
        self.replay()
        self.unsafe()
        self.access_keys()
        say(f"done: nothing lost and nothing doubled with {self.killed} processes killed")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20, help="processes of functions to kill (default 20)")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32), help="of what is random")
    parser.add_argument("--patience", type=int, default=600, help="seconds that something may take (default 600)")
    parser.add_argument("--folder", type=Path, default=ROOT / "out-e2e", help="for what is left to look at")
    parser.add_argument("--architecture", default="x86_64", help="of this machine: x86_64 or arm64")
    parser.add_argument("--bare", type=Path, default=ROOT / "target/lambda/bare-client/bootstrap", help="benches/bare-client")
    parser.add_argument("--sam", default=str(ROOT / ".venv-sam/bin/sam"))
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    for left in ["audit", "exports"]:
        shutil.rmtree(options.folder / left, ignore_errors=True)
    say(f"seed {options.seed}; again: --seed {options.seed}")
    braintrust = Braintrust(ROOT / "target/debug/braintrust", ORGANIZATION)
    emulator = Emulator(options.folder)
    story = Story(options, emulator, braintrust, options.folder)
    try:
        story.run()
    except Wrong as wrong:
        sys.exit(f"FAILED: {wrong}\nLogs of the functions and the emulator: {options.folder}")
    finally:
        story.keep_logs()
        emulator.stop()
        braintrust.stop()
    print(*start.table(story.measured, options.bare, 21), sep="\n")


if __name__ == "__main__":
    main()
