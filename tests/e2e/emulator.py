"""The emulator, the embedded Braintrust, and what is deployed on them."""

import datetime
import ipaddress
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import boto3
from botocore.config import Config
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

ROOT = Path(__file__).resolve().parents[2]
REGION = "us-east-1"


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def certificate(folder):
    """A certificate for 127.0.0.1, and its key: whoever is to trust it is told its file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.timezone.utc)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        # A certificate that may sign others is refused as a server's own.
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    files = folder / "certificate.pem", folder / "key.pem"
    files[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    files[1].touch(mode=0o600)
    files[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return files


class Emulator:
    """ministack, with signatures and IAM enforced, over TLS: the buckets' policies refuse all else."""

    def __init__(self, folder):
        self.port = free_port()
        self.url = f"https://127.0.0.1:{self.port}"
        self.certificate, key = certificate(folder)
        environment = {
            **os.environ,
            "BIND_HOST": "127.0.0.1",
            "GATEWAY_PORT": str(self.port),
            # The emulator hands it on to the functions' processes.
            "AWS_ENDPOINT_URL": self.url,
            "AUTH": "true",
            "USE_SSL": "1",
            "MINISTACK_SSL_CERT": str(self.certificate),
            "MINISTACK_SSL_KEY": str(key),
            # Handed on as well: what the functions trust.
            "SSL_CERT_FILE": str(self.certificate),
            "IOT_MTLS_ENABLED": "0",
            "SFTP_ENABLED": "0",
        }
        self.log = open(folder / "emulator.log", "wb")
        self.process = subprocess.Popen(
            [sys.executable, Path(__file__).with_name("ministack_corrected.py")],
            env=environment, stdout=self.log, stderr=subprocess.STDOUT, start_new_session=True
        )
        until = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                if time.monotonic() > until or self.process.poll() is not None:
                    raise RuntimeError(f"the emulator did not start: see {folder / 'emulator.log'}")
                time.sleep(0.2)

    def stop(self):
        """Ends it, and the functions' processes with it."""
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        self.log.close()

    def functions(self):
        """The processes of functions that events and time call: those of the emulator that run a bootstrap.

        Not of the API: the emulator does not notice that a process is gone which nobody has called, and its next caller
        would wait for it in vain.
        """
        found = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                if os.path.basename(os.readlink(entry / "exe")) != "bootstrap":
                    continue
                if b"-control-api\0" in (entry / "environ").read_bytes():
                    continue
                if os.getpgid(int(entry.name)) == self.process.pid or ancestor(int(entry.name), self.process.pid):
                    found.append(int(entry.name))
            except (OSError, ProcessLookupError):
                continue
        return found


def ancestor(process, of):
    """Whether a process was begun by another, directly or not."""
    while process > 1:
        if process == of:
            return True
        stat = Path(f"/proc/{process}/stat").read_text()
        process = int(stat.rpartition(")")[2].split()[1])
    return False


class Account:
    """An AWS account of the emulator: an access key that is an account's number is its root."""

    def __init__(self, emulator, number):
        self.emulator, self.number = emulator, number

    def __getattr__(self, service):
        client = boto3.client(
            service.replace("_", "-"),
            endpoint_url=self.emulator.url,
            aws_access_key_id=self.number,
            aws_secret_access_key="emulated",
            region_name=REGION,
            verify=str(self.emulator.certificate),
            config=Config(retries={"max_attempts": 2}, s3={"addressing_style": "path"}),
        )
        setattr(self, service, client)
        return client


class Braintrust:
    """The embedded Braintrust, as a process of its own."""

    def __init__(self, binary, organization):
        self.process = subprocess.Popen(
            [binary, organization], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        said = json.loads(self.process.stdout.readline())
        self.url, self.key = said["url"], said["key"]

    def call(self, method, path, body=None):
        request = urllib.request.Request(
            self.url + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.loads(answer.read())

    def load(self, project, file):
        """Puts the rows of a file into a project, and says how many."""
        self.process.stdin.write(json.dumps({"load": str(file), "project": project}) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer["rows"]

    def stop(self):
        self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()


def deploy(sam, emulator, account, stack, parameters):
    """`sam deploy` of what `sam build` has built."""
    account.s3.create_bucket(Bucket="sam-artifacts")
    # The project's own would have sam make a bucket by a stack of its own, and ask before it deploys.
    settings = emulator.certificate.with_name("samconfig.toml")
    settings.write_text("version = 0.1\n")
    environment = {
        **os.environ,
        "AWS_ENDPOINT_URL": emulator.url,
        "AWS_CA_BUNDLE": str(emulator.certificate),
        "AWS_ACCESS_KEY_ID": account.number,
        "AWS_SECRET_ACCESS_KEY": "emulated",
        "AWS_DEFAULT_REGION": REGION,
        "SAM_CLI_TELEMETRY": "0",
    }
    command = [
        sam, "deploy", "--config-file", str(settings), "--stack-name", stack, "--s3-bucket", "sam-artifacts", "--region", REGION,
        "--capabilities", "CAPABILITY_NAMED_IAM", "--no-confirm-changeset", "--no-progressbar",
        "--no-fail-on-empty-changeset", "--parameter-overrides",
    ]
    command += [f'{name}="{value}"' for name, value in parameters.items()]
    done = subprocess.run(
        command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    if done.returncode:
        sys.exit(f"sam deploy failed:\n{done.stdout}\n{done.stderr}")
    outputs = account.cloudformation.describe_stacks(StackName=stack)["Stacks"][0]["Outputs"]
    return {output["OutputKey"]: output["OutputValue"] for output in outputs}
