"""Wires ports and use cases. Construction only: nothing here opens, decides or runs."""

from functools import partial

from dependency_injector import containers, providers

from adapters.auth.invite_codes import InviteCodes
from adapters.auth.jwt_tokens import JwtTokens
from adapters.auth.keys import load_key_pair
from adapters.auth.refresh_tokens import OpaqueRefreshTokens
from adapters.interchange.beads import BeadsReader
from adapters.interchange.beads_writer import BeadsWriter
from adapters.observability.request_metrics import RequestMetrics
from adapters.repositories.display_numbers import StoredDisplayNumbers
from adapters.repositories.retention_runs import StoredRetentionRuns
from adapters.repositories.unit_of_work import StoredUnitOfWork
from adapters.system.clock import SystemClock
from adapters.system.identifiers import SortableIdentifiers
from adapters.system.threads import Threads
from application import demonstration, labels, operations
from application.accounts import sessions, users
from application.history import audit as audit_trail
from application.history import retention, trash
from application.interchange import exports, imports
from application.projects import commands as projects
from application.projects import timelines
from application.tasks import assignments
from application.tasks import bulk as bulk_tasks
from application.tasks import commands as tasks
from application.tasks import reading as task_reading
from application.tasks import watchlist as watchlists
from application.teams import commands as teams
from application.teams import granting, roles
from application.teams import members as team_members
from entrypoints.composition.identity import identity_provider
from entrypoints.composition.logs import access_log
from entrypoints.composition.settings import Settings
from entrypoints.composition.store_stack import StoreStack


class Container(containers.DeclarativeContainer):
    """One provider per use case, named after it. Use cases hold no state, so one of each is enough."""

    settings: providers.Dependency[Settings] = providers.Dependency(instance_of=Settings)

    clock = providers.Singleton(SystemClock)
    aside = providers.Singleton(Threads)
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
    refresh_tokens = providers.Singleton(
        OpaqueRefreshTokens, token_reader.provided.derived_secret.call("refresh")
    )

    identity_provider = providers.Singleton(
        identity_provider,
        settings,
        secret=token_reader.provided.derived_secret.call("identity provider"),
        clock=clock,
    )

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

    numbers = providers.Singleton(StoredDisplayNumbers, stack.provided.store)
    create_task = providers.Singleton(
        tasks.CreateTask, begin=begin, clock=clock, identifiers=identifiers, numbers=numbers
    )
    get_task = providers.Singleton(task_reading.GetTask, begin=begin, clock=clock)
    list_tasks = providers.Singleton(task_reading.ListTasks, begin=begin, clock=clock)
    edit_task = providers.Singleton(tasks.EditTask, begin=begin, clock=clock, numbers=numbers)
    defer_task = providers.Singleton(tasks.DeferTask, begin=begin, clock=clock, numbers=numbers)
    delete_task = providers.Singleton(tasks.DeleteTask, begin=begin, clock=clock, numbers=numbers)
    restore_task = providers.Singleton(tasks.RestoreTask, begin=begin, clock=clock, numbers=numbers)
    roll_back_task = providers.Singleton(tasks.RollBackTask, begin=begin, clock=clock, numbers=numbers)

    assign_task = providers.Singleton(assignments.AssignTask, begin=begin, clock=clock, numbers=numbers)
    unassign_task = providers.Singleton(assignments.UnassignTask, begin=begin, clock=clock, numbers=numbers)
    create_assignment = providers.Singleton(
        assignments.CreateAssignment, begin=begin, clock=clock, numbers=numbers
    )
    get_made_assignment = providers.Singleton(assignments.GetMadeAssignment, begin=begin)
    get_assignment = providers.Singleton(assignments.GetAssignment, begin=begin)
    list_assignments = providers.Singleton(assignments.ListAssignments, begin=begin)
    choose_executor = providers.Singleton(
        assignments.ChooseExecutor, begin=begin, clock=clock, numbers=numbers
    )
    end_assignment = providers.Singleton(assignments.EndAssignment, begin=begin, clock=clock, numbers=numbers)

    write_tasks_together = providers.Singleton(
        bulk_tasks.WriteTasksTogether, begin=begin, clock=clock, identifiers=identifiers, numbers=numbers
    )
    read_tasks_written = providers.Singleton(bulk_tasks.ReadTasksWritten, begin=begin)
    write_tasks_each = providers.Singleton(
        bulk_tasks.WriteTasksEach, begin=begin, clock=clock, identifiers=identifiers, numbers=numbers
    )

    list_watched = providers.Singleton(watchlists.ListWatched, begin=begin, clock=clock)
    watch_task = providers.Singleton(watchlists.WatchTask, begin=begin, clock=clock)
    unwatch_task = providers.Singleton(watchlists.UnwatchTask, begin=begin, clock=clock)

    get_timeline = providers.Singleton(timelines.GetTimeline, begin=begin)
    save_timeline = providers.Singleton(timelines.SaveTimeline, begin=begin, clock=clock)
    roll_back_timeline = providers.Singleton(timelines.RollBackTimeline, begin=begin, clock=clock)

    create_label = providers.Singleton(labels.CreateLabel, begin=begin, clock=clock, identifiers=identifiers)
    get_label = providers.Singleton(labels.GetLabel, begin=begin)
    list_labels = providers.Singleton(labels.ListLabels, begin=begin)
    edit_label = providers.Singleton(labels.EditLabel, begin=begin, clock=clock)
    delete_label = providers.Singleton(labels.DeleteLabel, begin=begin, clock=clock)
    restore_label = providers.Singleton(labels.RestoreLabel, begin=begin, clock=clock)

    invitations = providers.Singleton(InviteCodes, token_reader.provided.derived_secret.call("invite-codes"))
    create_team = providers.Singleton(teams.CreateTeam, begin=begin, clock=clock, identifiers=identifiers)
    get_team = providers.Singleton(teams.GetTeam, begin=begin)
    list_teams = providers.Singleton(teams.ListTeams, begin=begin)
    edit_team = providers.Singleton(teams.EditTeam, begin=begin, clock=clock)
    delete_team = providers.Singleton(teams.DeleteTeam, begin=begin, clock=clock)
    restore_team = providers.Singleton(teams.RestoreTeam, begin=begin, clock=clock)
    roll_back_team = providers.Singleton(teams.RollBackTeam, begin=begin, clock=clock)

    list_members = providers.Singleton(team_members.ListMembers, begin=begin)
    add_members = providers.Singleton(team_members.AddMembers, begin=begin, clock=clock)
    remove_member = providers.Singleton(team_members.RemoveMember, begin=begin, clock=clock)
    invite_to_team = providers.Singleton(
        team_members.InviteToTeam, begin=begin, clock=clock, invitations=invitations
    )
    revoke_invitations = providers.Singleton(team_members.RevokeInvitations, begin=begin, clock=clock)
    join_team = providers.Singleton(team_members.JoinTeam, begin=begin, clock=clock, invitations=invitations)
    get_membership = providers.Singleton(team_members.GetMembership, begin=begin)
    get_joined_team = providers.Singleton(team_members.GetJoinedTeam, begin=begin)
    list_team_activity = providers.Singleton(team_members.ListTeamActivity, begin=begin)

    create_role = providers.Singleton(roles.CreateRole, begin=begin, clock=clock, identifiers=identifiers)
    get_role = providers.Singleton(roles.GetRole, begin=begin)
    list_roles = providers.Singleton(roles.ListRoles, begin=begin)
    edit_role = providers.Singleton(roles.EditRole, begin=begin, clock=clock)
    delete_role = providers.Singleton(roles.DeleteRole, begin=begin, clock=clock)
    seed_roles = providers.Singleton(roles.SeedRoles, begin=begin, clock=clock)
    seed_labels = providers.Singleton(labels.SeedLabels, begin=begin, clock=clock)

    list_roles_of_user = providers.Singleton(granting.ListRolesOfUser, begin=begin)
    grant_global_role = providers.Singleton(granting.GrantGlobalRole, begin=begin, clock=clock)
    take_global_role = providers.Singleton(granting.TakeGlobalRole, begin=begin, clock=clock)
    grant_team_role = providers.Singleton(granting.GrantTeamRole, begin=begin, clock=clock)
    take_team_role = providers.Singleton(granting.TakeTeamRole, begin=begin, clock=clock)

    sign_in_by_email = providers.Singleton(
        sessions.SignInByEmail,
        begin=begin,
        clock=clock,
        identifiers=identifiers,
        tokens=token_reader,
        refresh_tokens=refresh_tokens,
    )
    sign_in_with_provider = providers.Singleton(
        sessions.SignInWithProvider,
        begin=begin,
        clock=clock,
        identifiers=identifiers,
        tokens=token_reader,
        refresh_tokens=refresh_tokens,
        provider=identity_provider,
    )
    refresh_session = providers.Singleton(
        sessions.RefreshSession,
        begin=begin,
        clock=clock,
        tokens=token_reader,
        refresh_tokens=refresh_tokens,
    )
    end_session = providers.Singleton(
        sessions.EndSession,
        begin=begin,
        clock=clock,
        tokens=token_reader,
        refresh_tokens=refresh_tokens,
    )
    issue_access_token = providers.Singleton(sessions.IssueAccessToken, begin=begin, tokens=token_reader)
    get_user = providers.Singleton(users.GetUser, begin=begin)
    search_users = providers.Singleton(users.SearchUsers, begin=begin)
    edit_user = providers.Singleton(users.EditUser, begin=begin, clock=clock)
    grant_administration = providers.Singleton(users.GrantAdministration, begin=begin, clock=clock)

    list_audit_entries = providers.Singleton(audit_trail.ListAuditEntries, begin=begin)
    list_versions = providers.Singleton(audit_trail.ListVersions, begin=begin)
    find_answer = providers.Singleton(
        audit_trail.FindAnswer, begin=begin, needs_mirror=settings.provided.needs_mirror
    )
    read_trash = providers.Singleton(trash.ReadTrash, begin=begin, clock=clock)
    list_trash = providers.Singleton(trash.ListTrash, begin=begin, clock=clock)
    finish_projects = providers.Singleton(projects.FinishProjects, begin=begin, clock=clock)
    finish_teams = providers.Singleton(teams.FinishTeams, begin=begin, clock=clock)
    finish_leavings = providers.Singleton(team_members.FinishLeavings, begin=begin, clock=clock)
    read_diagnostics = providers.Singleton(operations.ReadDiagnostics, diagnostics=stack)
    retention_runs = providers.Singleton(StoredRetentionRuns, stack.provided.store)
    read_retention = providers.Singleton(
        retention.ReadRetention,
        begin=begin,
        clock=clock,
        runs=retention_runs,
        retention_days=settings.provided.retention_days,
    )
    purge_expired = providers.Singleton(
        retention.PurgeExpired,
        begin=begin,
        clock=clock,
        runs=retention_runs,
        retention_days=settings.provided.retention_days,
    )
    operate_sync = providers.Singleton(operations.OperateSync, synchronisation=synchronisation)

    import_issues = providers.Singleton(
        imports.ImportIssues,
        begin=begin,
        clock=clock,
        readers=providers.Dict(beads=providers.Factory(BeadsReader)),
        numbers=numbers,
        aside=aside,
    )
    export_tasks = providers.Singleton(
        exports.ExportTasks,
        begin=begin,
        writers=providers.Dict(beads=providers.Factory(BeadsWriter)),
        aside=aside,
    )
    seed_demonstration = providers.Singleton(
        demonstration.SeedDemonstration, begin=begin, clock=clock, identifiers=identifiers, numbers=numbers
    )


def build_container(settings: Settings) -> Container:
    """The whole application for these settings, nothing opened yet."""
    return Container(settings=settings)
