"""A real AuthFort server for tests, with the operator's side of it within a test's reach.

Everything under /auth and /.well-known is AuthFort's own. What an operator does through AuthFort's
Python API (ban, rotate, roles, ...) is reachable under /control, because a test lives in another
process. Loopback only; the database is a file, so that a killed server can be started again on it.

Every answer says how long ago the last act was committed that takes tokens back.
When it serves, it prints one line: `ready PORT`.
"""

import argparse
import asyncio
import contextlib
import pathlib
import socket
import sys
import time
import uuid

import pyotp
import uvicorn
from authfort import AuthFort, GenericOAuthProvider
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel

# The very file that operators copy.
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[3] / "deploy" / "authfort"))
from gatefort_push import USER_EVENTS, forward_revocations  # noqa: E402


class User(BaseModel):
    user_id: uuid.UUID


class Role(User):
    role: str
    immediate: bool = True


class Delete(User):
    hard: bool = False


class Password(User):
    old: str
    new: str


class Session(BaseModel):
    session_id: uuid.UUID


class Forward(BaseModel):
    admin_url: str
    secret: str


class Refresh(BaseModel):
    refresh_token: str


def build(arguments: argparse.Namespace, port: int) -> FastAPI:
    auth = AuthFort(
        f"sqlite+aiosqlite:///{arguments.database}",
        access_token_ttl=arguments.access_token_ttl,
        key_rotation_ttl=arguments.key_rotation_ttl,
        jwt_issuer=arguments.issuer,
        introspect_secret=arguments.introspect_secret,
        # Asks a service on the internet; tests have none.
        check_pwned_passwords=False,
        # Only ever sends the browser there; nothing listens at these addresses.
        providers=[
            GenericOAuthProvider(
                "elsewhere",
                client_id="tests",
                client_secret="tests",
                authorize_url="http://127.0.0.1:9/authorize",
                token_url="http://127.0.0.1:9/token",
                userinfo_url="http://127.0.0.1:9/userinfo",
            )
        ],
    )

    committed = {"at": 0.0}

    async def note(_event) -> None:
        committed["at"] = time.monotonic()

    # Before any hook that forwards: AuthFort calls them in their order, after the commit.
    for name in (*USER_EVENTS, "session_revoked"):
        auth.on(name)(note)

    @contextlib.asynccontextmanager
    async def lifespan(_app: FastAPI):
        await auth.migrate()
        print(f"ready {port}", flush=True)
        yield
        await auth.dispose()

    app = FastAPI(lifespan=lifespan)
    auth.install_fastapi(app)

    @app.middleware("http")
    async def say_when(request: Request, call_next):
        answer = await call_next(request)
        since = time.monotonic() - committed["at"]
        answer.headers["x-microseconds-since-commit"] = str(int(since * 1e6))
        return answer

    @app.exception_handler(ValueError)
    async def no_such_thing(_request, error: ValueError) -> JSONResponse:
        return JSONResponse({"detail": str(error)}, status_code=404)

    @app.post("/control/rotate-key")
    async def rotate_key() -> dict:
        return {"kid": await auth.rotate_key()}

    @app.post("/control/cleanup-keys")
    async def cleanup_keys() -> dict:
        return {"deleted": await auth.cleanup_expired_keys()}

    @app.post("/control/cleanup-sessions")
    async def cleanup_sessions() -> dict:
        return {"deleted": await auth.cleanup_expired_sessions()}

    @app.post("/control/ban")
    async def ban(body: User) -> dict:
        await auth.ban_user(body.user_id)
        return {}

    @app.post("/control/unban")
    async def unban(body: User) -> dict:
        await auth.unban_user(body.user_id)
        return {}

    @app.post("/control/add-role")
    async def add_role(body: Role) -> dict:
        await auth.add_role(body.user_id, body.role, immediate=body.immediate)
        return {}

    @app.post("/control/remove-role")
    async def remove_role(body: Role) -> dict:
        await auth.remove_role(body.user_id, body.role, immediate=body.immediate)
        return {}

    @app.post("/control/revoke-session")
    async def revoke_session(body: Session) -> dict:
        return {"revoked": await auth.revoke_session(body.session_id)}

    @app.post("/control/revoke-all-sessions")
    async def revoke_all_sessions(body: User) -> dict:
        await auth.revoke_all_sessions(body.user_id)
        return {}

    @app.post("/control/logout")
    async def logout(body: Refresh) -> dict:
        await auth.logout(body.refresh_token)
        return {}

    @app.post("/control/delete")
    async def delete(body: Delete) -> dict:
        await auth.delete_user(body.user_id, hard=body.hard)
        return {}

    @app.post("/control/change-password")
    async def change_password(body: Password) -> dict:
        await auth.change_password(body.user_id, body.old, body.new)
        return {}

    @app.post("/control/forward")
    async def forward(body: Forward) -> dict:
        forward_revocations(
            auth,
            [body.admin_url],
            secret=body.secret,
            issuer=arguments.issuer,
            access_token_ttl=arguments.access_token_ttl,
        )
        return {}

    @app.post("/control/enable-mfa")
    async def enable_mfa(body: User) -> dict:
        setup = await auth.enable_mfa_init(body.user_id)
        await auth.enable_mfa_confirm(body.user_id, pyotp.TOTP(setup.secret).now())
        return {"secret": setup.secret}

    return app


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--database", required=True, help="path of the SQLite file")
    parser.add_argument("--port", type=int, default=0, help="loopback port; 0 takes a free one")
    parser.add_argument("--issuer", default="authfort")
    parser.add_argument("--access-token-ttl", type=int, default=900)
    parser.add_argument("--key-rotation-ttl", type=int, default=48 * 3600)
    parser.add_argument("--introspect-secret")
    arguments = parser.parse_args()

    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", arguments.port))
    # Before `ready` is said: whoever reads it may connect at once.
    listener.listen()
    app = build(arguments, listener.getsockname()[1])
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False))
    asyncio.run(server.serve(sockets=[listener]))


if __name__ == "__main__":
    main()
