"""Tells Gatefort what an AuthFort server does to its users and sessions, so that their tokens die at once.

    from gatefort_push import forward_revocations

    auth = AuthFort(...)
    forward_revocations(auth, ["http://10.0.0.5:9193", "http://10.0.0.6:9193"], secret=SECRET)

Every replica of Gatefort is told by name; where replicas tell each other (`revocation.fan_out`), one
address is enough. AuthFort runs its hooks after the commit and before it
answers, and logs what they raise: an act is never undone because a replica is down.
"""

import asyncio
import time

import httpx

# What ends every access token that the user holds. Events carry no token version, so it is said by
# time instead. The user's sessions live on where AuthFort lets them: a refresh brings a token that
# passes, with the new roles. AuthFort's `logout` does not say which session ended.
USER_EVENTS = (
    "user_banned",
    "user_deleted",
    "role_added",
    "role_removed",
    "password_changed",
    "password_reset",
    "password_set",
    "mfa_enabled",
    "mfa_disabled",
    "logout",
)

ATTEMPTS = 3


def forward_revocations(
    auth, admin_urls, *, secret, issuer="authfort", access_token_ttl=900, tls=None
):
    """Registers the hooks; `issuer` and `access_token_ttl` as the server has them.

    `tls` is an `ssl.SSLContext` for `https://` admin URLs; by default the public authorities are trusted.
    """
    headers = {"Authorization": f"Bearer {secret}"}
    # Once: reading the authorities takes longer than all the rest of a revocation.
    tls = tls or httpx.create_ssl_context(trust_env=False)

    async def tell(client, url, item):
        for attempt in range(ATTEMPTS):
            try:
                answer = await client.post(f"{url}/revocations", json={"revocations": [item]})
                answer.raise_for_status()
                if errors := answer.json()["errors"]:
                    raise RuntimeError(f"{url} refuses the revocation: {errors[0]['error']}")
                return
            except httpx.HTTPError:
                if attempt + 1 == ATTEMPTS:
                    raise
                await asyncio.sleep(0.2)

    async def revoke(target, now):
        item = {"iss": issuer, **target, "until": now + access_token_ttl + 1}
        async with httpx.AsyncClient(
            headers=headers, timeout=2, trust_env=False, verify=tls
        ) as client:
            told = await asyncio.gather(
                *(tell(client, url, item) for url in admin_urls), return_exceptions=True
            )
        if failures := [failure for failure in told if isinstance(failure, BaseException)]:
            raise failures[0]

    async def revoke_user(event):
        # `iat` counts whole seconds: one more, so that a token of this very second dies too.
        now = int(time.time())
        if event.user_id is not None:
            await revoke({"sub": str(event.user_id), "before": now + 1}, now)

    async def revoke_session(event):
        # With a session the event's user id is a random one, and only the session is meant.
        if event.session_id is not None:
            await revoke({"sid": str(event.session_id)}, int(time.time()))
        elif event.revoke_all:
            await revoke_user(event)

    for name in USER_EVENTS:
        auth.on(name)(revoke_user)
    auth.on("session_revoked")(revoke_session)
