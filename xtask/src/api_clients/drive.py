"""Drives a node with the generated client: URL, the API document, a module to deploy.

The token is in CAXTON_TOKEN.
"""

import importlib
import json
import os
import re
import sys

from caxton import AuthenticatedClient
from caxton.api.agents import deploy_agent, list_agents, stop_agent, update_agent
from caxton.api.messages import list_messages, send_message
from caxton.api.tokens import create_token
from caxton.models import (
    AgentConfig,
    Deployed,
    DeployForm,
    DeployNested,
    DeployConfig,
    FipaMessagePerformative,
    NewToken,
    Problem,
    Scope,
    SendRequest,
    SendResult,
    StopRequest,
    TokenCreated,
    UpdateForm,
)
from caxton.types import File
import base64
import io

url, document, module = sys.argv[1:]


def check(condition, what):
    if not condition:
        sys.exit(f"the generated client: {what}")


# Every operation of the document has its function.
for path in json.load(open(document))["paths"].values():
    for operation in path.values():
        name = re.sub("([A-Z])", r"_\1", operation["operationId"]).lower()
        function = importlib.import_module(f"caxton.api.{operation['tags'][0]}.{name}")
        check(hasattr(function, "sync_detailed"), f"`{name}` cannot be called")

client = AuthenticatedClient(base_url=url, token=os.environ["CAXTON_TOKEN"])
wasm = open(module, "rb").read()


def file():
    return File(payload=io.BytesIO(wasm), file_name="echo.wasm")


def deploy(name, key):
    form = DeployForm(module=file(), config=AgentConfig(name=name))
    return deploy_agent.sync(client=client, body=form, idempotency_key=key)


first, again, other = deploy("form", "k"), deploy("form", "k"), deploy("other", "k")
check(isinstance(first, Deployed), f"deploy by form: {first}")
check(again == first, f"the same deployment under the same key: {again}")
check(isinstance(other, Problem) and other.status == 409, f"another under the same key: {other}")

body = DeployNested(wasm_module=base64.b64encode(wasm).decode(), config=DeployConfig(name="json"))
deployed = deploy_agent.sync(client=client, body=body)
check(isinstance(deployed, Deployed), f"deploy as JSON: {deployed}")

updated = update_agent.sync("json", client=client, body=UpdateForm(module=file()))
check(isinstance(updated, Deployed) and updated.id == deployed.id, f"update: {updated}")

names = {agent.name for agent in list_agents.sync(client=client).items}
check(names == {"form", "json"}, f"agents: {names}")

message = SendRequest(
    performative=FipaMessagePerformative.REQUEST,
    receiver="form",
    sender="me",
    content={"n": 1},
    message_id="one",
    wait_ms=30_000,
)
sent = send_message.sync(client=client, body=message)
check(isinstance(sent, SendResult), f"send: {sent}")
check(sent.reply.content == {"n": 1}, f"reply: {sent.reply}")
message.content = {"n": 2}
other = send_message.sync(client=client, body=message)
check(isinstance(other, Problem) and other.status == 409, f"another message under its id: {other}")
mail = list_messages.sync(client=client, receiver="me")
check(len(mail.items) == 1, f"mail: {mail}")

new = NewToken(name="reader", scopes=[Scope.READ])
token = create_token.sync(client=client, body=new)
check(isinstance(token, TokenCreated), f"token: {token}")
stopped = stop_agent.sync("form", client=client, body=StopRequest(drain=True))
check(stopped.status.value == "stopped", f"stop: {stopped}")
