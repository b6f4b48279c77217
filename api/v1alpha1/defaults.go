// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"unicode"

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
	DefaultQoS                      int32 = 1
	DefaultTopic                          = "${topic}"
	DefaultMemoryBuffer                   = "8Mi"
	DefaultMaximumPacketSize              = "32Mi"
	DefaultRunnerCPU                      = "50m"
	DefaultRunnerMemory                   = "64Mi"
)

// WithDefaults returns a copy of the bridge in which each field that the spec leaves out
// has its default. In the sides, rules and delivery of the copy no pointer is nil, except
// for features that are off unless the spec sets them: credentials, TLS, proxies,
// webSocket, preferredServer, retainHandling, maxHops, dead letters, a buffer on disk, its
// TTL, and drain.
// WithDefaults does not change fields that are set. Applying it twice has the same result
// as applying it once.
func (b *MQTTBridge) WithDefaults() *MQTTBridge {
	out := b.DeepCopy()
	s := &out.Spec
	s.Local.setDefaults(defaultClientID(b.Namespace, b.Name, "local"), defaultClientID(b.Namespace, b.Name, "local-probe"))
	s.Remote.setDefaults(defaultClientID(b.Namespace, b.Name, "remote"), defaultClientID(b.Namespace, b.Name, "remote-probe"))
	for i := range s.LocalToRemote {
		s.LocalToRemote[i].setDefaults()
	}
	for i := range s.RemoteToLocal {
		s.RemoteToLocal[i].setDefaults()
	}
	if s.Delivery == nil {
		s.Delivery = &Delivery{}
	}
	setDefault(&s.Delivery.InflightWindow, DefaultInflightWindow)
	if s.Delivery.Unforwardable == nil {
		s.Delivery.Unforwardable = &Unforwardable{}
	}
	setDefault(&s.Delivery.Unforwardable.Policy, UnforwardableDrop)
	s.setBufferDefaults()
	if s.Notifications != nil {
		setDefault(&s.Notifications.QoS, DefaultQoS)
	}
	setDefault(&s.Suspend, false)
	if s.Runner == nil {
		s.Runner = &Runner{}
	}
	if s.Runner.LogLevel == "" {
		s.Runner.LogLevel = LogLevelInfo
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

func (s *Side) setDefaults(clientID, probeClientID string) {
	names := s.ServerNames()
	s.Primary.setDefaults(names[0])
	for i := range s.Backups {
		s.Backups[i].setDefaults(names[i+1])
	}
	s.Credentials.setDefaults()
	s.TLS.setDefaults()
	s.Proxy.setDefaults()
	setDefault(&s.ProtocolVersion, ProtocolVersion311)
	if s.ClientID == "" {
		s.ClientID = clientID
	}
	setDefault(&s.KeepAliveSeconds, DefaultKeepAliveSeconds)
	setDefault(&s.CleanSession, false)
	if s.SessionExpiry == "" {
		s.SessionExpiry = DefaultSessionExpiry
	}
	setDefault(&s.MaximumPacketSize, resource.MustParse(DefaultMaximumPacketSize))
	setDefault(&s.BridgeMode, BridgeModeAuto)
	if s.Failover == nil {
		s.Failover = &Failover{}
	}
	s.Failover.setDefaults(probeClientID)
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

func (f *Failover) setDefaults(probeClientID string) {
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
	if f.Probe == nil {
		f.Probe = &Probe{}
	}
	setDefault(&f.Probe.Policy, ProbeAlways)
	setDefault(&f.Probe.IntervalSeconds, DefaultProbeIntervalSeconds)
	setDefault(&f.Probe.TimeoutSeconds, DefaultProbeTimeoutSeconds)
	if f.Probe.ClientID == "" {
		f.Probe.ClientID = probeClientID
	}
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

// maxPortableClientID is the length in bytes up to which every server accepts a client
// identifier (MQTT 3.1.1 [MQTT-3.1.3-5]).
const maxPortableClientID = 23

// defaultClientID derives a client identifier that is the same after every restart, and
// that differs between bridges and between the sides of a bridge. Every server accepts it:
// it has at most 23 letters and digits. It starts with the bridge's name, so that users
// recognize it, and ends with a hash of namespace, name and side.
func defaultClientID(namespace, name, side string) string {
	sum := sha256.Sum256([]byte(namespace + "/" + name + "/" + side))
	hash := hex.EncodeToString(sum[:4])
	plain := strings.Map(func(r rune) rune {
		if r < unicode.MaxASCII && (unicode.IsLetter(r) || unicode.IsDigit(r)) {
			return r
		}
		return -1
	}, name)
	return plain[:min(len(plain), maxPortableClientID-len(hash))] + hash
}
