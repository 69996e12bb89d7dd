"""``lab hosts``: other machines over SSH."""

from __future__ import annotations

import click

from lab.cli.common import emit, output_options

HELP = {"help_option_names": ["-h", "--help"]}


@click.group(context_settings=HELP)
def hosts() -> None:
    """Other machines over SSH: what builds and boots with --on NAME.

    \b
    lab hosts add cellar me@cellar.example
    lab hosts setup cellar
    lab hosts check cellar
    lab repro early-policy --on cellar
    """


@hosts.command(context_settings=HELP)
@click.argument("name")
@click.argument("address", metavar="[USER@]HOST[:PORT]")
@click.option("--identity", default="", metavar="FILE", help="The private key to log in with; default: ssh's own.")
@click.option("--folder", default="", metavar="PATH", help="Where the lab is to live there, with its cache.")
@click.option("--replace", is_flag=True, help="Where another address has that name, take this one.")
@output_options
def add(name: str, address: str, identity: str, folder: str, *, replace: bool, as_json: bool) -> int:
    """Name a host. Nothing is sent to it yet.

    \b
    lab hosts add cellar me@192.0.2.7:2222
    lab hosts add big build@big.example --folder /srv/lab
    """
    from lab.paths import user_paths
    from lab.remote.hosts import add_host, parse

    host = parse(name, address, identity=identity, folder=folder)
    add_host(host, user_paths(), replace=replace)
    if as_json:
        emit(host)
    else:
        click.echo(f"{name} is {host.address}. Next: lab hosts setup {name}")
    return 0


@hosts.command("list", context_settings=HELP)
@output_options
def list_hosts(*, as_json: bool) -> int:
    """List the hosts that are known here.

    \b
    lab hosts list --json | jq -r '.hosts[].name'
    """
    from lab.paths import user_paths
    from lab.remote.hosts import load_hosts

    known = load_hosts(user_paths())
    if as_json:
        emit({"hosts": list(known.values())})
    elif not known:
        click.echo("No hosts yet: lab hosts add NAME USER@HOST")
    else:
        for host in known.values():
            click.echo(f"{host.name:<16}  {host.address}" + (f"  in {host.folder}" if host.folder else ""))
    return 0


@hosts.command(context_settings=HELP)
@click.argument("name")
@output_options
def remove(name: str, *, as_json: bool) -> int:
    """Forget a host. What is on it stays there."""
    from lab.paths import user_paths
    from lab.remote.hosts import remove_host

    host = remove_host(name, user_paths())
    if as_json:
        emit(host)
    else:
        where = host.folder or "~/.local/share/kernel-boot-lab and ~/.cache/kernel-boot-lab"
        click.echo(f"{name} ({host.address}) is forgotten; what the lab left there is below {where}")
    return 0


@hosts.command(context_settings=HELP)
@click.argument("name")
@output_options
def check(name: str, *, as_json: bool) -> int:
    """What the doctor says there: every tool, package, accelerator and disk that the lab needs.

    Exits 0 when nothing is missing, else 128.

    \b
    lab hosts check cellar
    lab hosts check cellar --json | jq '.checks[] | select(.status != "ok")'
    """
    from lab.errors import InfrastructureError
    from lab.paths import user_paths
    from lab.remote.client import talking
    from lab.remote.hosts import find_host

    with talking(find_host(name, user_paths())) as talk:
        checks = list(talk.doctor().checks)
    healthy = all(one.status != "missing" for one in checks)
    if as_json:
        emit({"host": name, "ok": healthy, "checks": checks})
    else:
        from lab.report.terminal import show_checks

        show_checks(checks)
    return 0 if healthy else InfrastructureError.exit_code


@hosts.command(context_settings=HELP)
@click.argument("name")
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@output_options
def setup(name: str, *, dry_run: bool, as_json: bool) -> int:
    """Install what is missing there, and this version of the lab. Each step is told before it is done.

    Debian packages are installed where the login is root or has sudo without a password; else the command is printed.

    \b
    lab hosts setup cellar --dry-run
    lab hosts setup cellar
    """
    from lab.paths import user_paths
    from lab.remote.client import Talk
    from lab.remote.hosts import find_host
    from lab.remote.install import check_python, do, look, plan, serve_command
    from lab.remote.ssh import connected
    from lab.remote.version import this_version
    from lab.report.plain import harmless

    host, version = find_host(name, user_paths()), this_version()
    with connected(host) as link:
        found = look(link, version)
        check_python(found, host)
        steps = plan(found, host, version)
        for number, step in enumerate(steps, 1):
            click.echo(f"{number}. {harmless(step.what)}", err=True)
            if not dry_run:
                do(step, link, lambda text: click.echo(f"   {harmless(text)}", err=True))
        python = found.python
        if not dry_run:
            talk = Talk(host, link.start(serve_command(host, version)))
            talk.begin()
            python = talk.welcome.python if talk.welcome else ""
    document = {"host": name, "steps": [step.what for step in steps], "done": not dry_run, "python": python}
    if as_json:
        emit({**document, "version": version.name})
    elif dry_run:
        click.echo(f"{name}: {len(steps)} steps would be done." if steps else f"{name} has all that it needs.")
    else:
        click.echo(f"{name} is ready: lab {version.name[:12]}, Python {harmless(python)}. Next: lab hosts check {name}")
    return 0


@hosts.command(context_settings=HELP)
@click.argument("address", metavar="tcp://HOST:PORT")
@click.option("--count", type=click.IntRange(1, 1000), default=1, show_default=True, help="So many at once.")
@click.option("--board", "boards", multiple=True, metavar="NAME", help="A board that hangs on this machine.")
@output_options
def worker(address: str, *, count: int, boards: tuple[str, ...], as_json: bool) -> int:
    """Be a worker of the Dask scheduler at ADDRESS, for --cluster, until Ctrl-C.

    The scheduler is told what this machine has: compilers, architectures of guests, cores, memory in GB, a KVM that was
    proven, boards. When the scheduler goes, its return is waited for. Anyone who reaches a scheduler without TLS can
    run code on its workers: keep it in a network of your own. With --json it only says how Dask is called.

    \b
    python -m distributed.cli.dask_scheduler --host 10.0.0.1 --no-dashboard
    lab hosts worker tcp://10.0.0.1:8786
    """
    import re

    from lab.errors import UserError
    from lab.paths import user_paths
    from lab.remote.spec import parse
    from lab.remote.worker import command, resources, stay

    if not parse(address).address:
        raise UserError(f"{address!r} is no scheduler's address", hint="tcp://HOST:PORT")
    for board in boards:
        if not re.fullmatch(r"[A-Za-z0-9_.-]{1,63}", board):
            raise UserError(f"--board {board!r}: not a plain word")
    paths = user_paths()
    if as_json:
        emit({"argv": command(address, resources(paths, boards), count)})
    else:
        stay(address, paths, count=count, boards=boards)
    return 0


@hosts.command(context_settings=HELP)
@click.argument("names", nargs=-1, required=True, metavar="NAME…")
@click.option("--count", type=click.IntRange(1, 1000), default=1, show_default=True, help="So many workers on each.")
@output_options
def up(names: tuple[str, ...], *, count: int, as_json: bool) -> int:
    """Start a cluster that stays: a scheduler on the first host, workers on each, for --cluster.

    They know each other and this machine by certificates that are made for it. What dies is started again. The other
    hosts and this machine have to reach the first one by the address by which it is reached from here.

    \b
    lab hosts up cellar attic
    lab bisect early-policy --cluster tls://192.0.2.7:40123    the address that it tells
    lab hosts down
    """
    from lab.paths import user_paths
    from lab.remote.up import up as start
    from lab.report.live import shown

    with shown(quiet=as_json) as progress:
        one = start(names, user_paths(), progress, count=count)
    if as_json:
        emit({"address": one.address, "hosts": one.hosts, "workers": count * len(one.hosts)})
    else:
        click.echo(f"{count * len(one.hosts)} worker(s) of the scheduler at {one.address}: --cluster {one.address}")
    return 0


@hosts.command(context_settings=HELP)
@click.argument("names", nargs=-1, metavar="[NAME…]")
@output_options
def down(names: tuple[str, ...], *, as_json: bool) -> int:
    """End the clusters that 'lab hosts up' started from here: those with these hosts, or all.

    What is being built or booted there ends too. Exits 128 where a host could not be told; ask again when it is back.

    \b
    lab hosts down
    lab hosts down cellar
    """
    from lab.errors import InfrastructureError
    from lab.paths import user_paths
    from lab.remote.up import down as stop
    from lab.report.live import shown

    with shown(quiet=as_json) as progress:
        ended, problems = stop(names, user_paths(), progress)
    if as_json:
        emit({"ended": [one.address for one in ended], "problems": problems})
    else:
        for text in problems:
            click.echo(f"lab: {text}", err=True)
        click.echo(f"{', '.join(one.address for one in ended)}: {'not wholly ' if problems else ''}ended")
    return InfrastructureError.exit_code if problems else 0
