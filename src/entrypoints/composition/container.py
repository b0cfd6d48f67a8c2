"""Wires ports and use cases. Construction only: nothing here opens, decides or runs."""

from functools import partial

from dependency_injector import containers, providers

from adapters.auth.jwt_tokens import JwtTokens
from adapters.auth.keys import load_key_pair
from adapters.interchange.beads import BeadsReader
from adapters.observability.request_metrics import RequestMetrics
from adapters.repositories.unit_of_work import StoredUnitOfWork
from adapters.system.clock import SystemClock
from adapters.system.identifiers import SortableIdentifiers
from application import (
    audit_trail,
    demonstration,
    imports,
    labels,
    operating,
    projects,
    tasks,
    timelines,
    users,
)
from entrypoints.composition.logs import access_log
from entrypoints.composition.settings import Settings
from entrypoints.composition.store_stack import StoreStack


class Container(containers.DeclarativeContainer):
    """One provider per use case, named after it. Use cases hold no state, so one of each is enough."""

    settings: providers.Dependency[Settings] = providers.Dependency(instance_of=Settings)

    clock = providers.Singleton(SystemClock)
    identifiers = providers.Singleton(SortableIdentifiers)
    stack = providers.Singleton(StoreStack, settings=settings, clock=clock)
    synchronisation = stack.provided.synchronisation
    health_probe = stack
    request_metrics = providers.Singleton(RequestMetrics, beside=stack.provided.render_metrics)
    access_log = providers.Singleton(access_log, settings)

    keys = providers.Singleton(
        load_key_pair,
        settings.provided.private_key,
        settings.provided.public_key,
        directory=settings.provided.stores.data_dir,
    )
    token_reader = providers.Singleton(JwtTokens, keys, clock=clock)

    begin = providers.Singleton(partial, StoredUnitOfWork, stack.provided.store, identifiers)

    create_project = providers.Singleton(
        projects.CreateProject, begin=begin, clock=clock, identifiers=identifiers
    )
    get_project = providers.Singleton(projects.GetProject, begin=begin)
    list_projects = providers.Singleton(projects.ListProjects, begin=begin)
    edit_project = providers.Singleton(projects.EditProject, begin=begin, clock=clock)
    delete_project = providers.Singleton(projects.DeleteProject, begin=begin, clock=clock)
    restore_project = providers.Singleton(projects.RestoreProject, begin=begin, clock=clock)
    roll_back_project = providers.Singleton(projects.RollBackProject, begin=begin, clock=clock)

    create_task = providers.Singleton(tasks.CreateTask, begin=begin, clock=clock, identifiers=identifiers)
    get_task = providers.Singleton(tasks.GetTask, begin=begin)
    list_tasks = providers.Singleton(tasks.ListTasks, begin=begin)
    edit_task = providers.Singleton(tasks.EditTask, begin=begin, clock=clock)
    delete_task = providers.Singleton(tasks.DeleteTask, begin=begin, clock=clock)
    restore_task = providers.Singleton(tasks.RestoreTask, begin=begin, clock=clock)
    roll_back_task = providers.Singleton(tasks.RollBackTask, begin=begin, clock=clock)

    get_timeline = providers.Singleton(timelines.GetTimeline, begin=begin)
    save_timeline = providers.Singleton(timelines.SaveTimeline, begin=begin, clock=clock)
    roll_back_timeline = providers.Singleton(timelines.RollBackTimeline, begin=begin, clock=clock)

    create_label = providers.Singleton(labels.CreateLabel, begin=begin, clock=clock, identifiers=identifiers)
    get_label = providers.Singleton(labels.GetLabel, begin=begin)
    list_labels = providers.Singleton(labels.ListLabels, begin=begin)
    edit_label = providers.Singleton(labels.EditLabel, begin=begin, clock=clock)
    delete_label = providers.Singleton(labels.DeleteLabel, begin=begin, clock=clock)
    restore_label = providers.Singleton(labels.RestoreLabel, begin=begin, clock=clock)

    sign_in_by_email = providers.Singleton(
        users.SignInByEmail, begin=begin, clock=clock, identifiers=identifiers, tokens=token_reader
    )
    get_user = providers.Singleton(users.GetUser, begin=begin)
    search_users = providers.Singleton(users.SearchUsers, begin=begin)
    edit_user = providers.Singleton(users.EditUser, begin=begin, clock=clock)
    grant_administration = providers.Singleton(users.GrantAdministration, begin=begin, clock=clock)

    list_audit_entries = providers.Singleton(audit_trail.ListAuditEntries, begin=begin)
    list_versions = providers.Singleton(audit_trail.ListVersions, begin=begin)
    find_answer = providers.Singleton(
        audit_trail.FindAnswer, begin=begin, needs_mirror=settings.provided.needs_mirror
    )
    operate_sync = providers.Singleton(operating.OperateSync, synchronisation=synchronisation)

    import_issues = providers.Singleton(
        imports.ImportIssues,
        begin=begin,
        clock=clock,
        readers=providers.Dict(beads=providers.Factory(BeadsReader)),
    )
    seed_demonstration = providers.Singleton(
        demonstration.SeedDemonstration, begin=begin, clock=clock, identifiers=identifiers
    )


def build_container(settings: Settings) -> Container:
    """The whole application for these settings, nothing opened yet."""
    return Container(settings=settings)
