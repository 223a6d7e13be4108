#!powershell
# SPDX-License-Identifier: Apache-2.0

#AnsibleRequires -CSharpUtil Ansible.Basic
#Requires -Module Ansible.ModuleUtils.ArgvParser
#Requires -Module Ansible.ModuleUtils.CommandUtil

$spec = @{
    options = @{
        executable = @{ type = 'str'; default = 'provision' }
        profile = @{ type = 'str' }
        name = @{ type = 'str' }
        state = @{ type = 'str'; choices = 'present', 'absent'; default = 'present' }
        bundle = @{ type = 'path' }
        device = @{ type = 'str' }
        validate = @{ type = 'bool'; default = $true }
        gate = @{ type = 'bool'; default = $true }
        managed_python = @{ type = 'bool'; default = $false }
        data_dir = @{ type = 'path' }
        envs = @{ type = 'path' }
        lockfiles = @{ type = 'path' }
        config = @{ type = 'path' }
        mirrors = @{ type = 'str' }
        find_links = @{ type = 'list'; elements = 'str'; default = @() }
        offline = @{ type = 'bool'; default = $false }
    }
    required_if = @(
        , @('state', 'present', @('profile'))
        , @('state', 'absent', @('profile', 'name'), $true)
    )
    supports_check_mode = $true
}

$module = [Ansible.Basic.AnsibleModule]::Create($args, $spec)

Function Get-ProvisionAnswer {
    <#
    .SYNOPSIS
    Run a verb and return its document, whatever its exit code is; end the module where it printed none.
    #>
    Param([Object]$Module, [String[]]$Arguments)

    $options = $Module.Params
    $command = @($options.executable) + $Arguments + @('--json')
    foreach ($name in 'data_dir', 'envs', 'lockfiles', 'config', 'mirrors') {
        if ($options.$name) {
            $command += @("--$($name.Replace('_', '-'))", $options.$name)
        }
    }
    foreach ($place in $options.find_links) {
        $command += @('--find-links', $place)
    }
    if ($options.offline) {
        $command += '--offline'
    }
    try {
        $done = Run-Command -command (Argv-ToString -arguments $command) -output_encoding_override 'utf-8'
    }
    catch {
        $message = "``$($options.executable)`` cannot be started: $($_.Exception.Message)"
        Stop-WithoutDocument -Module $Module -Code 'fleet.no_command' -Message $message -ExitCode $null `
            -Hint 'install provision on the machine, or name its command with `executable`'
    }
    $document = $null
    try {
        $document = [Ansible.Basic.AnsibleModule]::FromJson($done.stdout)
    }
    catch {
        $document = $null
    }
    if ($document -isnot [System.Collections.IDictionary] -or $document['schema'] -ne 'provision.result/1') {
        $said = "$($done.stderr)$($done.stdout)".Trim()
        $said = $said.Substring([Math]::Max(0, $said.Length - 2000))
        $message = "``provision $($Arguments[0])`` ended with $($done.rc) and printed no document of provision.result/1: $said"
        Stop-WithoutDocument -Module $Module -Code 'fleet.no_document' -Message $message -ExitCode ([int]$done.rc) `
            -Hint "run ``$($command -join ' ')`` on the machine"
    }
    $Module.Result.exit_code = $document['exit_code']
    $Module.Result.errors = $document['errors']
    $Module.Result.result = $document
    return $document
}

Function Stop-WithoutDocument {
    <#
    .SYNOPSIS
    End the module with an error in the form of ours.
    #>
    Param([Object]$Module, [String]$Code, [String]$Message, [Object]$ExitCode, [String]$Hint)

    $Module.Result.status = 'error'
    $Module.Result.exit_code = $ExitCode
    $Module.Result.errors = @(@{ code = $Code; message = $Message; hints = @($Hint); retryable = $false; context = @{} })
    $Module.Result.result = $null
    $Module.FailJson($Message)
}

Function Get-ProvisionStatus {
    <#
    .SYNOPSIS
    Return the status of a machine by a document: passed only if a verdict says so.
    #>
    Param([System.Collections.IDictionary]$Document)

    switch ($Document['exit_code']) {
        0 {
            if ($Document['data']['verdict']) {
                return $Document['data']['verdict']
            }
            return 'passed'
        }
        6 { return 'failed' }
        7 { return 'unvalidated' }
        default { return 'error' }
    }
}

Function Stop-WithErrors {
    <#
    .SYNOPSIS
    End the module with the errors of a document, each with what to do.
    #>
    Param([Object]$Module, [System.Collections.IDictionary]$Document)

    $lines = foreach ($problem in $Document['errors']) {
        $problem['message']
        foreach ($hint in $problem['hints']) {
            "hint: $hint"
        }
    }
    $Module.Result.status = Get-ProvisionStatus -Document $Document
    $Module.FailJson($lines -join "`n")
}

$options = $module.Params
if ($options.state -eq 'absent') {
    $name = if ($options.name) { $options.name } else { $options.profile }
    $listed = Get-ProvisionAnswer -Module $module -Arguments @('list')
    if ($listed['exit_code'] -ne 0) {
        Stop-WithErrors -Module $module -Document $listed
    }
    $there = @($listed['data']['environments'] | Where-Object { $_['name'] -eq $name }).Count -gt 0
    $module.Result.status = 'absent'
    if ($there -and -not $module.CheckMode) {
        $removed = Get-ProvisionAnswer -Module $module -Arguments @('remove', $name)
        if ($removed['exit_code'] -ne 0) {
            Stop-WithErrors -Module $module -Document $removed
        }
    }
    $module.Result.changed = $there
    $module.ExitJson()
}

$arguments = @('create', $options.profile)
foreach ($name in 'name', 'bundle', 'device') {
    if ($options.$name) {
        $arguments += @("--$name", $options.$name)
    }
}
if (-not $options.gate) {
    $arguments += '--no-gate'
}
if ($options.managed_python) {
    $arguments += '--managed-python'
}
$planned = Get-ProvisionAnswer -Module $module -Arguments ($arguments + @('--dry-run'))
if ($planned['exit_code'] -ne 0) {
    Stop-WithErrors -Module $module -Document $planned
}
$changed = -not $planned['data']['up_to_date']
if ($changed) {
    $module.Diff.prepared = $planned['data']['changes']['text']
}
if ($module.CheckMode) {
    $module.Result.changed = $changed
    $module.ExitJson()
}
if (-not $options.validate) {
    $arguments += '--no-validate'
}
$done = Get-ProvisionAnswer -Module $module -Arguments $arguments
# A build that failed leaves the generation that was there, and says nothing of one.
$module.Result.changed = $changed -and $done['data'].ContainsKey('generation')
if ($done['exit_code'] -ne 0) {
    Stop-WithErrors -Module $module -Document $done
}
$module.Result.status = Get-ProvisionStatus -Document $done
$module.ExitJson()
