"""Users of a Django site log in to an MCP server: python django_app.py URL ORIGIN PORT.

Run as many workers as you like at one ORIGIN, with one SESSION_KEY in the environment.
"""

import os
import sys
from collections.abc import Callable
from wsgiref.simple_server import make_server

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.middleware.csrf import get_token
from django.urls import path

from mcp_client_auth import AuthError, FileStorage, LoginRequired, Logins

if len(sys.argv) != 4:
    sys.exit(__doc__)

url, origin, port = sys.argv[1:]
logins = Logins(
    FileStorage(),
    redirect_uri=f"{origin}/oauth/callback",
    allow_private_servers=lambda named: named == url,  # the operator's own; a user's must be public
)


def person(request: HttpRequest) -> str:
    """Who is signed in to this site; with `django.contrib.auth` it is `request.user.pk`."""
    return str(request.session.get("person", ""))  # an empty name is nobody's: it raises an error


def index(request: HttpRequest) -> HttpResponse:
    token = f'<input type="hidden" name="csrfmiddlewaretoken" value="{get_token(request)}">'
    buttons = [
        f'<form method="post" action="{action}">{token}<button>{action}</button></form>'
        for action in ("connect", "disconnect")
    ]
    return HttpResponse("".join(buttons))


def enter(request: HttpRequest, name: str) -> HttpResponse:
    """A stand-in for your own sign-in."""
    request.session["person"] = name
    return HttpResponse("welcome", content_type="text/plain")


def connect(request: HttpRequest) -> HttpResponse:
    return HttpResponseRedirect(logins.begin(url, account=person(request)).url)


def callback(request: HttpRequest) -> HttpResponse:
    me = logins.finish(request.get_full_path(), account=person(request))
    return HttpResponse(f"{me.server} is connected", content_type="text/plain")


def whoami(request: HttpRequest) -> HttpResponse:
    me = logins.auth(url, account=person(request)).login()  # the stored one, or an error
    return HttpResponse(me.call("whoami").text, content_type="text/plain")


def disconnect(request: HttpRequest) -> HttpResponse:
    logins.forget(person(request))
    return HttpResponse("forgotten", content_type="text/plain")


class Failures:
    """Tells the user what went wrong."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        if not isinstance(error, AuthError):
            return None
        status = 403 if isinstance(error, LoginRequired) else 400
        return HttpResponse(str(error), content_type="text/plain", status=status)


urlpatterns = [
    path("", index),
    path("enter/<name>", enter),
    path("connect", connect),
    path("oauth/callback", callback),
    path("whoami", whoami),
    path("disconnect", disconnect),
]
settings.configure(
    SECRET_KEY=os.environ["SESSION_KEY"],
    ROOT_URLCONF=__name__,
    ALLOWED_HOSTS=["127.0.0.1", "localhost"],
    SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies",
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        f"{__name__}.Failures",
    ],
)
make_server("127.0.0.1", int(port), get_wsgi_application()).serve_forever()
