# Print what provision asks of Windows as one JSON object.
# No double quotes: the text travels as one argument of the command line.
$ErrorActionPreference = 'SilentlyContinue'
[Console]::OutputEncoding = [Text.Encoding]::UTF8
$videos = @(Get-CimInstance Win32_VideoController)
$displays = @(Get-CimInstance Win32_PnPEntity -Filter 'DeviceID LIKE ''PCI%''' |
  Where-Object { $_.PNPClass -eq 'Display' -or ($_.CompatibleID -match 'CC_03') } | ForEach-Object {
  $entity = $_
  $video = $videos | Where-Object { $_.PNPDeviceID -eq $entity.PNPDeviceID } | Select-Object -First 1
  $bars = @(Get-CimAssociatedInstance -InputObject $entity -ResultClassName Win32_DeviceMemoryAddress |
    ForEach-Object { [string]([uint64]$_.EndingAddress - [uint64]$_.StartingAddress + 1) })
  @{ id = $entity.PNPDeviceID; name = $entity.Name; service = $entity.Service;
     problem = $entity.ConfigManagerErrorCode; version = $video.DriverVersion; bars = $bars } })
$system = [Environment]::SystemDirectory
$loader = Get-Item (Join-Path $system 'ze_loader.dll')
$runtime = Get-Item (Join-Path $system 'vcruntime140_1.dll')
$os = Get-CimInstance Win32_OperatingSystem
$long = (Get-ItemProperty 'HKLM:\SYSTEM\CurrentControlSet\Control\FileSystem').LongPathsEnabled
@{ release = $os.Caption; kernel = $os.Version; displays = $displays; long_paths = $long;
   loader = $(if ($loader) { $loader.VersionInfo.FileVersion } else { '' });
   loader_path = $(if ($loader) { $loader.FullName } else { '' });
   vc_runtime = $(if ($runtime) { $runtime.VersionInfo.FileVersion } else { '' }) } |
  ConvertTo-Json -Depth 5 -Compress
