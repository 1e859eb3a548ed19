"""Everything that the routes of an annotation project share."""

from __future__ import annotations

from dataclasses import dataclass

from foveate.annotate.store.project import Project
from foveate.annotate.web.pictures import Pictures
from foveate.web.access import Access


@dataclass(frozen=True)
class RequestContext:
    """The open project, its images, and who may do what.

    Args:
        project: open.
        pictures: its images.
        access: checks every request.
    """

    project: Project
    pictures: Pictures
    access: Access


def request_context(project: Project, *, secure: bool = False) -> RequestContext:
    """Make the context of a project; secure: the session's cookie travels over https alone."""
    access = Access(project.store, cookie=cookie_of(project), secure=secure)
    return RequestContext(project, Pictures(project.manifest.root), access)


def cookie_of(project: Project) -> str:
    """Name of the cookie of a project's sessions."""
    return f"foveate-{project.id}"
