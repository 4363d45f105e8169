"""Reads the forms and links of a page, as much of HTML as a login or a consent needs."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser

_Attributes = list[tuple[str, str | None]]


@dataclass(slots=True)
class Control:
    """A button or a link: what it says, and what pressing it adds or where it goes."""

    label: str = ""
    name: str = ""
    value: str = ""
    target: str = ""

    @property
    def words(self) -> str:
        return f"{self.label} {self.name} {self.value} {self.target}".lower()


@dataclass(slots=True)
class Form:
    action: str = ""
    method: str = "get"
    fields: list[tuple[str, str]] = field(default_factory=list)
    buttons: list[Control] = field(default_factory=list)


@dataclass(slots=True)
class Document:
    forms: list[Form] = field(default_factory=list)
    links: list[Control] = field(default_factory=list)


def read_page(html: str, *, filler: str) -> Document:
    """The page's forms and links; empty text and password inputs get `filler`."""
    reader = _Reader(filler)
    reader.feed(html)
    reader.close()
    return reader.document


class _Reader(HTMLParser):
    def __init__(self, filler: str) -> None:
        super().__init__()
        self.document = Document()
        self._filler = filler
        self._form: Form | None = None
        self._control: Control | None = None

    def handle_starttag(self, tag: str, attrs: _Attributes) -> None:
        given = {name: value or "" for name, value in attrs}
        match tag:
            case "form":
                self._form = Form(given.get("action", ""), given.get("method", "get").lower())
                self.document.forms.append(self._form)
            case "a":
                self._control = Control(target=given.get("href", ""))
                self.document.links.append(self._control)
            case "input" if self._form is not None:
                self._read_input(self._form, given)
            case "button" if self._form is not None:
                self._control = _button(given)
                if given.get("type", "submit").lower() == "submit":
                    self._form.buttons.append(self._control)

    def handle_data(self, data: str) -> None:
        if self._control is not None:
            self._control.label += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._form = None
        if tag in ("a", "button"):
            self._control = None

    def _read_input(self, form: Form, given: dict[str, str]) -> None:
        kind = given.get("type", "text").lower()
        if kind in ("submit", "image"):
            form.buttons.append(_button(given))
            return
        if kind in ("checkbox", "radio"):
            if "checked" in given:
                form.fields.append((given.get("name", ""), given.get("value", "on")))
            return
        if not given.get("name") or kind in ("button", "reset", "file"):
            return
        value = given.get("value", "")
        typed = self._filler if kind in ("text", "password", "email") else ""
        form.fields.append((given["name"], value or typed))


def _button(given: dict[str, str]) -> Control:
    return Control(
        label=given.get("value", "") if "type" in given else "",
        name=given.get("name", ""),
        value=given.get("value", ""),
        target=given.get("formaction", ""),
    )
