"""Times as the API wants them."""
import datetime


def to_time(value):
    """RFC 3339 of a datetime with a zone, a timedelta (that long ago) or text; None stays None."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, datetime.timedelta):
        value = datetime.datetime.now(datetime.timezone.utc) - value
    if not isinstance(value, datetime.datetime):
        raise TypeError(f"expected a datetime, a timedelta or text, got {type(value).__name__}")
    if value.tzinfo is None:
        raise ValueError(f"{value} has no time zone; say datetime(..., tzinfo=timezone.utc)")
    value = value.astimezone(datetime.timezone.utc)
    return value.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
