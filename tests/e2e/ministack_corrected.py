"""ministack 1.5.33, with two answers of its IAM corrected. The principal role's two policies depend on them.

- For a session of a role, AWS gives the condition key `aws:PrincipalArn` the role's ARN; ministack gives the session's.
  https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html#condition-keys-principalarn
- AWS evaluates `sts:ExternalId` in the caller's own policies as well as in the trust policy; ministack in the trust
  policy alone. https://docs.aws.amazon.com/service-authorization/latest/reference/list_awssecuritytokenservice.html
"""

import contextvars
import sys
import urllib.parse

from ministack import app
from ministack.core import iam_actions, iam_evaluator

external_id = contextvars.ContextVar("external_id", default=None)
resolve, resource_of = iam_evaluator._resolve_condition_key, iam_actions.extract_resource_arn


def noting_external_id(service, method, path, headers, body, *others):
    given = None
    if service == "sts" and body:
        given = urllib.parse.parse_qs(body.decode()).get("ExternalId", [None])[0]
    external_id.set(given)
    return resource_of(service, method, path, headers, body, *others)


def corrected(key, context):
    answer = resolve(key, context)
    key = key.lower()
    if key == "sts:externalid" and answer is None:
        return external_id.get()
    if key == "aws:principalarn" and ":assumed-role/" in str(answer):
        account = answer.split(":")[4]
        role = iam_evaluator._role_name_from_assumed_arn(answer)
        return f"arn:aws:iam::{account}:role/{role}"
    return answer


iam_evaluator._resolve_condition_key = corrected
iam_actions.extract_resource_arn = noting_external_id

if __name__ == "__main__":
    sys.exit(app.main())
