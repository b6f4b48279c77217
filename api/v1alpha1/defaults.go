// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/utils/ptr"
)

// Defaults of fields that a manifest leaves out.
const (
	DefaultKeepAliveSeconds         int32 = 10
	DefaultSessionExpiry                  = SessionExpiryNever
	DefaultConnectTimeoutSeconds    int32 = 5
	DefaultPingTimeoutSeconds       int32 = 5
	DefaultAckTimeoutSeconds        int32 = 10
	DefaultRetryInitialMilliseconds int32 = 500
	DefaultRetryMaxSeconds          int32 = 30
	DefaultProbeIntervalSeconds     int32 = 30
	DefaultProbeTimeoutSeconds      int32 = 5
	DefaultStableSeconds            int32 = 60
	DefaultTimeZone                       = "UTC"
	DefaultInflightWindow           int32 = 256
	// DefaultQoS2Window is the default of inflightWindow for QoS 2 messages to a server of MQTT
	// 3.1.1. It is Mosquitto's default of max_inflight_messages.
	DefaultQoS2Window int32 = 20

	DefaultQoS               int32 = 1
	DefaultTopic                   = "${topic}"
	DefaultMemoryBuffer            = "8Mi"
	DefaultMaximumPacketSize       = "32Mi"
	DefaultRunnerCPU               = "50m"
	DefaultRunnerMemory            = "64Mi"

	DefaultDeletionTimeoutSeconds int32 = 300

	DefaultReplicas             int32 = 1
	DefaultLeaseDurationSeconds int32 = 15
)

// WithDefaults returns a copy of the bridge in which each field that the spec leaves out
// has its default. In the sides, rules and delivery of the copy no pointer is nil, except
// for inflightWindow, whose default depends on the QoS and the protocol version, and for
// features that are off unless the spec sets them: credentials, TLS, proxies, webSocket,
// preferredServer, retainHandling, maxHops, dead letters, a buffer on disk, its TTL, drain,
// standby and tracing. samplingRatePerMillion of tracing has no default here, because an
// environment variable of the runner may set the sampler.
// WithDefaults does not change fields that are set. Applying it twice has the same result
// as applying it once. For a bridge in a cluster, the operator calls SetDefaultClientIDs
// before.
func (b *MQTTBridge) WithDefaults() *MQTTBridge {
	out := b.DeepCopy()
	s := &out.Spec
	out.SetDefaultClientIDs("")
	s.Local.setDefaults()
	s.Remote.setDefaults()
	for i := range s.LocalToRemote {
		s.LocalToRemote[i].setDefaults()
	}
	for i := range s.RemoteToLocal {
		s.RemoteToLocal[i].setDefaults()
	}
	if s.Delivery == nil {
		s.Delivery = &Delivery{}
	}
	if s.Delivery.Unforwardable == nil {
		s.Delivery.Unforwardable = &Unforwardable{}
	}
	setDefault(&s.Delivery.Unforwardable.Policy, UnforwardableDrop)
	s.setBufferDefaults()
	if s.Notifications != nil {
		setDefault(&s.Notifications.QoS, DefaultQoS)
	}
	if s.Tracing != nil && s.Tracing.Topics == "" {
		s.Tracing.Topics = TraceTopicsOmit
	}
	setDefault(&s.Suspend, false)
	setDefault(&s.Replicas, DefaultReplicas)
	if s.HasStandby() && s.Standby == nil {
		s.Standby = &Standby{}
	}
	if s.Standby != nil {
		setDefault(&s.Standby.LeaseDurationSeconds, DefaultLeaseDurationSeconds)
	}
	setDefault(&s.DeletionPolicy, DeletionKeep)
	setDefault(&s.DeletionTimeoutSeconds, DefaultDeletionTimeoutSeconds)
	if s.Runner == nil {
		s.Runner = &Runner{}
	}
	if s.Runner.LogLevel == "" {
		s.Runner.LogLevel = LogLevelInfo
	}
	if s.Runner.LogFormat == "" {
		s.Runner.LogFormat = LogFormatText
	}
	if s.Runner.UpdatePolicy == "" {
		s.Runner.UpdatePolicy = UpdateAutomatic
	}
	return out
}

func (s *MQTTBridgeSpec) setBufferDefaults() {
	if s.Buffer == nil {
		s.Buffer = &Buffer{}
	}
	if s.Buffer.Memory == nil {
		s.Buffer.Memory = &MemoryBuffer{}
	}
	setDefault(&s.Buffer.Memory.Size, resource.MustParse(DefaultMemoryBuffer))
	setDefault(&s.Buffer.QoS0WhenDown, QoS0WhenDownDrop)
	if s.Buffer.Disk != nil {
		setDefault(&s.Buffer.Disk.WhenFull, WhenFullBlock)
		if s.Buffer.Disk.ExistingClaim == "" {
			setDefault(&s.Buffer.Disk.RetainPolicy, ClaimRetain)
		}
	}
}

// Servers returns the side's servers in order of preference.
func (s *Side) Servers() []Server {
	return append([]Server{s.Primary}, s.Backups...)
}

// UsesTLS reports whether the scheme of the server's URL requires TLS.
func (s *Server) UsesTLS() bool {
	scheme, _, _ := strings.Cut(s.URL, "://")
	return scheme == "mqtts" || scheme == "ssl" || scheme == "tls" || scheme == "wss"
}

// RoleAt returns the role of the server at a position in its side's list, counted from 0.
func RoleAt(position int) ServerRole {
	if position == 0 {
		return RolePrimary
	}
	return RoleBackup
}

func (s *Side) setDefaults() {
	names := s.ServerNames()
	s.Primary.setDefaults(names[0])
	for i := range s.Backups {
		s.Backups[i].setDefaults(names[i+1])
	}
	s.Credentials.setDefaults()
	s.TLS.setDefaults()
	s.Proxy.setDefaults()
	setDefault(&s.ProtocolVersion, ProtocolVersion311)
	setDefault(&s.KeepAliveSeconds, DefaultKeepAliveSeconds)
	setDefault(&s.CleanSession, false)
	if s.SessionExpiry == "" {
		s.SessionExpiry = DefaultSessionExpiry
	}
	setDefault(&s.MaximumPacketSize, resource.MustParse(DefaultMaximumPacketSize))
	setDefault(&s.BridgeMode, BridgeModeAuto)
	setDefault(&s.Reconnect, ReconnectNever)
	s.Failover.setDefaults()
	if s.PreferredServer != nil {
		setDefault(&s.PreferredServer.Force, false)
	}
}

func (s *Server) setDefaults(name string) {
	s.Name = name
	s.Credentials.setDefaults()
	s.TLS.setDefaults()
	s.Proxy.setDefaults()
}

func (f *Failover) setDefaults() {
	setDefault(&f.ConnectTimeoutSeconds, DefaultConnectTimeoutSeconds)
	setDefault(&f.PingTimeoutSeconds, DefaultPingTimeoutSeconds)
	setDefault(&f.AckTimeoutSeconds, DefaultAckTimeoutSeconds)
	if f.Retry == nil {
		f.Retry = &Retry{}
	}
	r := f.Retry
	if r.InitialMilliseconds == nil {
		r.InitialMilliseconds = ptr.To(DefaultRetryInitialMilliseconds)
		if r.MaxSeconds != nil {
			*r.InitialMilliseconds = min(DefaultRetryInitialMilliseconds, *r.MaxSeconds*1000)
		}
	}
	initialSeconds := (*r.InitialMilliseconds + 999) / 1000
	setDefault(&r.MaxSeconds, max(DefaultRetryMaxSeconds, initialSeconds))
	setDefault(&f.Probe.Policy, ProbeAlways)
	setDefault(&f.Probe.IntervalSeconds, DefaultProbeIntervalSeconds)
	setDefault(&f.Probe.TimeoutSeconds, DefaultProbeTimeoutSeconds)
	if f.Failback == nil {
		f.Failback = &Failback{}
	}
	setDefault(&f.Failback.Policy, FailbackAutomatic)
	setDefault(&f.Failback.StableSeconds, DefaultStableSeconds)
	if len(f.Failback.Windows) > 0 && f.Failback.TimeZone == "" {
		f.Failback.TimeZone = DefaultTimeZone
	}
	setDefault(&f.StaleSession, StaleSessionResume)
}

func (r *Rule) setDefaults() {
	if r.Name == "" {
		r.Name = r.Filter
	}
	if r.Topic == "" {
		r.Topic = DefaultTopic
	}
	setDefault(&r.QoS, DefaultQoS)
	setDefault(&r.Retain, RetainKeep)
}

func setDefault[T any](field **T, value T) {
	if *field == nil {
		*field = ptr.To(value)
	}
}
