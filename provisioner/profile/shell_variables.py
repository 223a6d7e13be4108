"""Variables that a shell gives a meaning of its own: a value would be lost, evaluated, or refused half-way.

Seen: zsh stops reading an activation at ``LINES`` or ``LINENO``, with exit code 0; bash evaluates arithmetic
in values of ``RANDOM``, ``SECONDS``, ``OPTIND`` and ``HISTCMD``. Names in capitals only, as a profile's are.
``LANG`` and ``LC_…`` are special too and not listed: a locale is meant for the shell, and it takes any text.
"""

from collections.abc import Mapping

_BASH = """
BASH BASHOPTS BASHPID CDPATH CHILD_MAX COLUMNS COMPREPLY COPROC DIRSTACK EMACS ENV EPOCHREALTIME
EPOCHSECONDS EUID EXECIGNORE FCEDIT FIGNORE FUNCNAME FUNCNEST GLOBIGNORE GLOBSORT GROUPS HISTCMD
HISTCONTROL HISTFILE HISTFILESIZE HISTIGNORE HISTSIZE HISTTIMEFORMAT HOME HOSTFILE HOSTNAME HOSTTYPE IFS
IGNOREEOF INPUTRC INSIDE_EMACS LINENO LINES MACHTYPE MAIL MAILCHECK MAILPATH MAPFILE OLDPWD OPTARG OPTERR
OPTIND OSTYPE PATH PIPESTATUS POSIXLY_CORRECT PPID PROMPT_COMMAND PROMPT_DIRTRIM PS0 PS1 PS2 PS3 PS4 PWD
RANDOM REPLY SECONDS SHELL SHELLOPTS SHLVL SRANDOM TIMEFORMAT TMOUT TMPDIR UID _
"""  # bash(1) of 5.2, "Shell Variables"; GLOBSORT is new in 5.3
_ZSH = """
ARGC ARGV0 BAUD CDPATH COLUMNS CORRECT_IGNORE CORRECT_IGNORE_FILE CPUTYPE DIRSTACKSIZE EGID ENV
EPOCHREALTIME EPOCHSECONDS ERRNO EUID FCEDIT FIGNORE FPATH FUNCNEST GID HISTCHARS HISTCMD HISTFILE HISTNO
HISTORY_IGNORE HISTSIZE HOME HOST IFS KEYBOARD_HACK KEYTIMEOUT LINENO LINES LISTMAX LOGCHECK LOGNAME
MACHTYPE MAIL MAILCHECK MAILPATH MANPATH MODULE_PATH NULLCMD OLDPWD OPTARG OPTIND OSTYPE PATH POSTEDIT
PPID PROMPT PROMPT2 PROMPT3 PROMPT4 PROMPT_EOL_MARK PS1 PS2 PS3 PS4 PSVAR PWD RANDOM READNULLCMD REPLY
REPORTMEMORY REPORTTIME RPROMPT RPROMPT2 RPS1 RPS2 SAVEHIST SECONDS SHLVL SPROMPT STTY TERM TERMINFO
TERMINFO_DIRS TIMEFMT TMOUT TMPPREFIX TMPSUFFIX TRY_BLOCK_ERROR TRY_BLOCK_INTERRUPT TTY TTYIDLE UID
USERNAME VENDOR WATCH WATCHFMT WORDCHARS ZBEEP ZDOTDIR ZLS_COLORS ZLS_COLOURS _
"""  # zshparam(1) of 5.9, parameters set and used by the shell; zshmodules(1): datetime, watch, complist
_FISH = """
CDPATH CMD_DURATION COLUMNS EUID HOME IFS LINES PATH PWD SHLVL TERM USER _
"""  # fishshell.com/docs 3.6, "The fish language", special variables
_POWERSHELL = """
PATH PATHEXT PSEXECUTIONPOLICYPREFERENCE PSMODULEANALYSISCACHEPATH PSMODULEPATH
"""  # about_Environment_Variables of PowerShell 7.4
_CMD = """
CD CMDCMDLINE CMDEXTVERSION COMSPEC COPYCMD DATE DIRCMD ERRORLEVEL HIGHESTNUMANODENUMBER PATH PATHEXT
PROMPT RANDOM TIME
"""  # `set /?`, `dir /?`, `copy /?` and `prompt /?` of Windows 10

SPECIAL: Mapping[str, frozenset[str]] = {
    "bash": frozenset(_BASH.split()),
    "zsh": frozenset(_ZSH.split()),
    "fish": frozenset(_FISH.split()),
    "powershell": frozenset(_POWERSHELL.split()),
    "cmd": frozenset(_CMD.split()),
}
_PREFIXES: Mapping[str, tuple[str, ...]] = {
    "bash": ("BASH_", "COMP_", "READLINE_"),
    "zsh": ("ZLE_", "ZSH_"),
    "fish": ("FISH_",),
    "powershell": ("POWERSHELL_",),
}


def find_shells(name: str) -> list[str]:
    """Return the shells that give the variable ``name`` a meaning of their own."""
    return [
        shell
        for shell, names in SPECIAL.items()
        if name in names or name.startswith(_PREFIXES.get(shell, ()))
    ]
