"""The demo's AuthFort server (8000), and the application behind the gateways (8081), which says who asks it.

Not for production: its database is a temporary file, its cookies travel over http, and anyone may ban anyone.
"""

import asyncio
import os
import tempfile
import uuid

import uvicorn
from authfort import AuthFort
from fastapi import FastAPI, Request
from gatefort_push import forward_revocations

AUTHFORT = int(os.environ.get("AUTHFORT_PORT", "8000"))
APPLICATION = int(os.environ.get("APPLICATION_PORT", "8081"))
GATEFORT = int(os.environ.get("GATEFORT_ADMIN_PORT", "9193"))

database = tempfile.NamedTemporaryFile(suffix=".sqlite")
# The password check would ask a service on the internet.
auth = AuthFort(f"sqlite+aiosqlite:///{database.name}", check_pwned_passwords=False)
forward_revocations(auth, [f"http://127.0.0.1:{GATEFORT}"], secret=os.environ["REVOCATION_SECRET"])

issuer = FastAPI()
auth.install_fastapi(issuer)


@issuer.post("/demo/ban/{user_id}")
async def ban(user_id: uuid.UUID) -> dict:
    await auth.ban_user(user_id)
    return {"banned": user_id}


application = FastAPI()


@application.api_route("/{path:path}", methods=["GET", "POST"])
async def who(path: str, request: Request) -> dict:
    named = {name: value for name, value in request.headers.items() if name.startswith("x-auth-")}
    return {"path": f"/{path}", "identity": named}


async def main() -> None:
    await auth.migrate()
    servers = [
        uvicorn.Server(uvicorn.Config(issuer, host="0.0.0.0", port=AUTHFORT, log_level="warning")),
        uvicorn.Server(uvicorn.Config(application, host="127.0.0.1", port=APPLICATION, log_level="warning")),
    ]
    await asyncio.gather(*(server.serve() for server in servers))


asyncio.run(main())
