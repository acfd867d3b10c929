"""JSON logs: one line per event, with `event`, `level`, `program`, a UTC time, and what the caller adds."""

import logging
import sys

import structlog

# Their info lines come with each call or request.
_QUIET = ("botocore", "boto3", "urllib3", "uvicorn.access")


def configure(program: str, level: str = "info", **bound: str) -> None:
    """Sends every log line of this process, third parties' included, to stderr as JSON.

    `bound` (an instance's id, say) goes into each line. Call it once, in `main()`.
    """
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        lambda _logger, _method, event: {**event, "program": program, **bound},
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            # Third parties log through the standard library: their lines get the same fields.
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)


def get_logger(name: str) -> structlog.typing.FilteringBoundLogger:
    """A logger: `log.info("stored", request_id=…)`. Safe to make at import."""
    logger: structlog.typing.FilteringBoundLogger = structlog.get_logger(name)
    return logger
