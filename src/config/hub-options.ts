// The extended options of a hub (hub.md 3): pairs of a name and a 32-bit number, spelt as in the reference's manuals.

interface HubOption<K extends string> {
  readonly name: K;
  readonly initial: number;
  readonly max: number;
}

const flag = <K extends string>(name: K, initial: 0 | 1 = 0): HubOption<K> => ({
  name,
  initial,
  max: 1,
});
const number = <K extends string>(name: K, initial = 0, max = 0xffff_ffff): HubOption<K> => ({
  name,
  initial,
  max,
});

export const HUB_OPTIONS = [
  flag("NoAddressPollingIPv4"),
  flag("NoAddressPollingIPv6"),
  flag("NoIpTable"),
  flag("NoMacAddressLog", 1),
  flag("ManageOnlyPrivateIP", 1),
  flag("ManageOnlyLocalUnicastIPv6", 1),
  flag("DisableIPParsing"),
  flag("YieldAfterStorePacket"),
  flag("NoSpinLockForPacketDelay"),
  number("BroadcastStormDetectionThreshold"),
  number("ClientMinimumRequiredBuild"),
  flag("FilterPPPoE"),
  flag("FilterOSPF"),
  flag("FilterIPv4"),
  flag("FilterIPv6"),
  flag("FilterNonIP"),
  flag("NoIPv4PacketLog"),
  flag("NoIPv6PacketLog"),
  flag("FilterBPDU"),
  flag("NoIPv6DefaultRouterInRAWhenIPv6"),
  flag("NoLookBPDUBridgeId"),
  flag("NoManageVlanId"),
  number("VlanTypeId", 0x8100, 0xffff),
  flag("FixForDLinkBPDU"),
  number("RequiredClientId"),
  number("AdjustTcpMssValue", 0, 0xffff),
  flag("DisableAdjustTcpMss"),
  flag("NoDhcpPacketLogOutsideHub", 1),
  flag("DisableHttpParsing"),
  flag("DisableUdpAcceleration"),
  flag("DisableUdpFilterForLocalBridgeNic"),
  flag("ApplyIPv4AccessListOnArpPacket"),
  flag("RemoveDefGwOnDhcpForLocalhost", 1),
  number("SecureNAT_MaxTcpSessionsPerIp"),
  number("SecureNAT_MaxTcpSynSentPerIp"),
  number("SecureNAT_MaxUdpSessionsPerIp"),
  number("SecureNAT_MaxDnsSessionsPerIp"),
  number("SecureNAT_MaxIcmpSessionsPerIp"),
  number("AccessListIncludeFileCacheLifetime", 30),
  flag("DisableKernelModeSecureNAT"),
  flag("DisableIpRawModeSecureNAT"),
  flag("DisableUserModeSecureNAT"),
  flag("DisableCheckMacOnLocalBridge"),
  flag("DisableCorrectIpOffloadChecksum"),
  flag("BroadcastLimiterStrictMode"),
  number("MaxLoggedPacketsPerMinute"),
  flag("DoNotSaveHeavySecurityLogs"),
  flag("DropBroadcastsInPrivacyFilterMode", 1),
  flag("DropArpInPrivacyFilterMode", 1),
  flag("AllowSameUserInPrivacyFilterMode"),
  flag("SuppressClientUpdateNotification"),
  number("FloodingSendQueueBufferQuota", 33_554_432),
  flag("AssignVLanIdByRadiusAttribute"),
  flag("DenyAllRadiusLoginWithNoVlanAssign"),
  flag("SecureNAT_RandomizeAssignIp"),
  number("DetectDormantSessionInterval"),
  flag("NoPhysicalIPOnPacketLog"),
  flag("UseHubNameAsDhcpUserClassOption"),
  flag("UseHubNameAsRadiusNasId"),
  flag("AllowEapMatchUserByCert"),
  number("DhcpDiscoverTimeoutMs", 5000),
] as const;

/** Options of subjects that this version does not have. */
export const UNAVAILABLE_HUB_OPTIONS: ReadonlySet<string> = new Set(
  HUB_OPTIONS.map(({ name }): string => name).filter(
    (name) =>
      name === "UseHubNameAsDhcpUserClassOption" ||
      name === "AllowEapMatchUserByCert" ||
      name === "DhcpDiscoverTimeoutMs",
  ),
);

export type HubOptionName = (typeof HUB_OPTIONS)[number]["name"];

/** A complete record; flags are 0 or 1. */
export type HubOptions = Readonly<Record<HubOptionName, number>>;

export const DEFAULT_HUB_OPTIONS: HubOptions = Object.freeze(
  Object.fromEntries(HUB_OPTIONS.map(({ name, initial }) => [name, initial])),
) as HubOptions;
