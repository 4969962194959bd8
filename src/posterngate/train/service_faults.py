"""What OpenAI's client raises, as one line that says whose fault it is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from posterngate.errors import TrainError, UsageError

__all__ = ["told_plainly", "words"]


@contextmanager
def told_plainly(recipe: str) -> Iterator[None]:
    """Turn what the client raises into a UsageError or a TrainError that names the recipe."""
    import openai

    try:
        yield
    except (openai.AuthenticationError, openai.PermissionDeniedError) as error:
        raise UsageError(f"recipe={recipe}: the service refuses the key ({words(error)})") from error
    except openai.NotFoundError as error:
        raise UsageError(
            f"recipe={recipe}: the service knows no such model or job ({words(error)})"
        ) from error
    except (openai.BadRequestError, openai.UnprocessableEntityError) as error:
        raise TrainError(
            f"recipe={recipe}: the service refuses the file or the job ({words(error)})"
        ) from error
    except openai.APIError as error:
        raise TrainError(
            f"recipe={recipe}: the service cannot be reached ({words(error)}); run again to continue"
        ) from error


def words(error: Exception) -> str:
    """Return the service's own words in one line."""
    body = getattr(error, "body", None)
    told = body.get("message") if isinstance(body, dict) else None
    return " ".join(str(told or error).split())[:300]
