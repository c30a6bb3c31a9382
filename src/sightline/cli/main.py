"""`sightline`: the command. Arguments are read here and in one file a command; torch is imported only when needed.

Exit codes: 0 all done; 1 a defect of Sightline; 2 the command was wrong (one line says how); 3 some pictures failed and
are recorded, the others are done; 130 stopped by Ctrl-C, 143 by SIGTERM.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import traceback
import warnings
from collections.abc import Sequence
from importlib import import_module, metadata
from pathlib import Path

from sightline.cli.parser import Parser, unknown_option
from sightline.cli.streams import (
    ENDED,
    EndedError,
    drop_output,
    ending_in_order,
    leave,
    of_the_machine,
    open_closed_streams,
)
from sightline.errors import CancelledError, SightlineError, UsageError, nearest

DEFECT, WRONG, STOPPED = 1, 2, 130
COMMANDS = {
    "explain": "explain pictures and write a report",
    "compare": "which method is best on these pictures, and which differences are noise",
    "concepts": "what a layer tells apart in several pictures",
    "doctor": "is something wrong with a network, and which methods can be trusted on it",
    "evaluate": "judge methods, or maps of another tool, on data with truth",
    "methods": "what can explain, or the fields of one method",
    "metrics": "what can judge a map, or the fields of one metric",
    "models": "where networks come from",
    "layers": "where a class activation map can look in a network",
    "benchmark": "every method on drawn scenes whose evidence is known",
    "show": "what a run found, from its folder",
}
_EXAMPLES = """examples:
  sightline explain demo:dog-and-cat
  sightline explain photo.jpg --model torchvision/resnet50 --method grad-cam --method occlusion
  sightline explain photos/ --model timm/vit_tiny_patch16_224 --target "bull mastiff" --metric deletion --out run
  sightline methods grad-cam

exit codes: 0 done, 2 the command was wrong, 3 some pictures failed, 1 a defect of Sightline"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with these words; the exit code.

    Args:
        argv: without them the process is the command: its own words are taken, and where it was told to end it does so
            at once.
    """
    code = _main(list(sys.argv[1:] if argv is None else argv))
    if argv is None and code > ENDED:
        leave(code)
    return code


def _main(words: list[str]) -> int:
    debug = "--debug" in words
    open_closed_streams()
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # a terminal that cannot write a letter gets its escape
    try:
        with ending_in_order(), warnings.catch_warnings():
            if not debug:
                warnings.simplefilter("ignore")  # other libraries' warnings are not for the user of a command
            return _run(words)
    except BrokenPipeError:  # the reader (`| head`) has gone
        drop_output()
        return ENDED + 13
    except KeyboardInterrupt:
        return _told("stopped", STOPPED, debug)
    except CancelledError as error:
        return _told(str(error), STOPPED, debug)
    except EndedError as ended:
        return _told(f"stopped by {ended}", ended.code, debug)
    except SightlineError as error:
        return _told(str(error), WRONG, debug)
    except Exception as error:  # whatever else comes is a defect of ours, told in one line
        if of_the_machine(error):
            drop_output()
            return _told(of_the_machine(error), WRONG, debug)
        text = " ".join(str(error).split())[:300]
        more = "" if debug else " (run with --debug for the trace)"
        return _told(f"this is a defect of Sightline: {type(error).__name__}: {text}{more}", DEFECT, debug)


def _run(words: list[str]) -> int:
    parser, commands = _parsers()
    if not words:
        parser.print_help()
        return 0
    if words[0] not in COMMANDS and not words[0].startswith("-"):
        raise UsageError(_no_command(words[0]))
    if words[0].startswith("-") and words[0] not in parser.known():
        raise unknown_option(parser, words[0])
    arguments, extra = parser.parse_known_args(words)
    stray = [word for word in extra if word.startswith("-") and word != "-"]
    if stray:
        raise unknown_option(commands.get(arguments.command, parser), stray[0])
    if extra and not hasattr(arguments, "pictures"):
        raise UsageError(f"{extra[0]!r} was not expected: see `sightline {arguments.command} --help`")
    if extra:  # pictures after an option, which argparse does not put together itself
        arguments.pictures = [*arguments.pictures, *extra]
    arguments.words = tuple(words)
    module = import_module(f"sightline.cli.{arguments.command}")
    code: int = module.run(arguments)
    sys.stdout.flush()
    return code


def _parsers() -> tuple[Parser, dict[str, Parser]]:
    parser = Parser(
        prog="sightline",
        description="Shows why an image classifier decided as it did.",
        epilog=_EXAMPLES,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="show the version and exit")
    parser.add_argument("--debug", action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
    added = parser.add_subparsers(dest="command", metavar="COMMAND", parser_class=Parser, required=True)
    commands = {}
    for name, summary in COMMANDS.items():
        commands[name] = added.add_parser(name, help=summary, description=summary[0].upper() + summary[1:] + ".")
        import_module(f"sightline.cli.{name}").add_arguments(commands[name])
        commands[name].add_argument("--debug", action="store_true", help="show the trace of an error, and all warnings")
    return parser, commands


class _Version(argparse.Action):
    """Print the version; only then is it looked up."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        print(f"sightline {metadata.version('sightline')}")
        parser.exit()


def _no_command(word: str) -> str:
    close = nearest(word, COMMANDS, most=1)
    if close:
        return f"unknown command {word!r}: did you mean {close[0]!r}?"
    if word.startswith("demo:") or Path(word).suffix or Path(word).exists():
        return f"{word!r} is no command: did you mean `sightline explain {word}`?"
    return f"unknown command {word!r}: known are {', '.join(COMMANDS)}"


def _told(text: str, code: int, debug: bool) -> int:
    if debug:
        traceback.print_exc()
    line = " ".join(text.split())
    with contextlib.suppress(OSError, ValueError):  # nobody may be listening any more
        print(f"sightline: {line}", file=sys.stderr)
    return code
