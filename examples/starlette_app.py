"""Users of a web application log in to an MCP server: python starlette_app.py URL ORIGIN PORT.

Run as many workers as you like at one ORIGIN, with one SESSION_KEY in the environment. The same
works with FastAPI, whose applications are Starlette applications.
"""

import os
import sys

import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from mcp_client_auth import AuthError, FileStorage, LoginRequired, Logins

if len(sys.argv) != 4:
    sys.exit(__doc__)

url, origin, port = sys.argv[1:]
logins = Logins(
    FileStorage(),
    redirect_uri=f"{origin}/oauth/callback",
    allow_private_servers=lambda named: named == url,  # the operator's own; a user's must be public
)


def person(request: Request) -> str:
    """Who is signed in to this application: only its session says so, nothing else in a request."""
    return str(request.session.get("person", ""))  # an empty name is nobody's: it raises an error


async def enter(request: Request) -> Response:
    """A stand-in for your own sign-in."""
    request.session["person"] = request.path_params["person"]
    return PlainTextResponse("welcome")


async def connect(request: Request) -> Response:
    begun = await logins.abegin(url, account=person(request))
    return RedirectResponse(begun.url, 303)


async def callback(request: Request) -> Response:
    me = await logins.afinish(str(request.url), account=person(request))
    return PlainTextResponse(f"{me.server} is connected")


async def whoami(request: Request) -> Response:
    auth = await logins.aauth(url, account=person(request))
    me = await auth.alogin()  # the stored one, or an error
    return PlainTextResponse((await me.acall("whoami")).text)


async def disconnect(request: Request) -> Response:
    await logins.aforget(person(request))
    return PlainTextResponse("forgotten")


async def failed(request: Request, error: Exception) -> Response:
    return PlainTextResponse(str(error), 403 if isinstance(error, LoginRequired) else 400)


app = Starlette(
    routes=[
        Route("/enter/{person}", enter, methods=["POST"]),
        Route("/connect", connect, methods=["POST"]),
        Route("/oauth/callback", callback),
        Route("/whoami", whoami),
        Route("/disconnect", disconnect, methods=["POST"]),
    ],
    # same_site="lax": the browser sends it on the way back from the sign-in page, but not with
    # a POST from another site
    middleware=[Middleware(SessionMiddleware, os.environ["SESSION_KEY"], same_site="lax")],
    exception_handlers={AuthError: failed},
)
uvicorn.run(app, host="127.0.0.1", port=int(port), log_level="warning")
