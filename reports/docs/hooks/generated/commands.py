"""The command line as Typer knows it; changes when a reader should see another fact of a command."""

from collections.abc import Iterator
from typing import Any

import typer

from densimeter.simulator.cli import app
from generated.tables import table


def reference() -> str:
    """A section for every command: what it does, how it is called, its arguments and options."""
    root = typer.main.get_command(app)
    return "\n\n".join(_sections(root, typer.Context(root, info_name="densimeter")))


def _sections(command: Any, context: typer.Context) -> Iterator[str]:
    for name, member in command.commands.items():
        inner = typer.Context(member, info_name=name, parent=context)
        if hasattr(member, "commands"):
            yield from _sections(member, inner)
        else:
            yield _section(member, inner)


def _section(command: Any, context: typer.Context) -> str:
    usage = command.get_usage(context).removeprefix("Usage:").strip()
    parts = [f"## {context.command_path}", command.help or "", f"```text\n{usage}\n```"]
    records = (parameter.get_help_record(context) for parameter in command.params)
    rows = [(f"`{names}`", _plain(words)) for names, words in filter(None, records)]
    if rows:
        parts.append(table(("argument or option", "meaning"), rows))
    return "\n\n".join(parts)


def _plain(words: str) -> str:
    """Square brackets would be links, stars emphasis."""
    return "".join(f"\\{character}" if character in "[]*_" else character for character in words)
