// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"log/slog"
	"math"
	"os"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
	"github.com/mqttbridge/mqttbridge-operator/internal/manifest"
)

// maxMemory is the largest bound of a buffer in memory, in bytes. On a 32-bit machine, it is less than the API
// permits, so that a sum of two sizes fits into an int.
const maxMemory = math.MaxInt / 2

// Resolve translates a spec into settings. [Load] must have returned the spec: it is valid,
// and its defaults are resolved.
func Resolve(s *v1alpha1.MQTTBridgeSpec) (*Settings, error) {
	localToRemote, remoteToLocal, err := manifest.Directions(s)
	if err != nil {
		return nil, err
	}
	out := &Settings{
		LocalToRemote:      localToRemote,
		RemoteToLocal:      remoteToLocal,
		Loop:               manifest.FindLoop(s) != nil,
		InflightWindow:     int(ptr.Deref(s.Delivery.InflightWindow, v1alpha1.DefaultInflightWindow)),
		QoS2Window:         int(ptr.Deref(s.Delivery.InflightWindow, v1alpha1.DefaultQoS2Window)),
		BufferQoS0:         *s.Buffer.QoS0WhenDown == v1alpha1.QoS0WhenDownBuffer,
		MemoryBytes:        int(min(s.Buffer.Memory.Size.Value(), maxMemory)),
		BlockUnforwardable: *s.Delivery.Unforwardable.Policy == v1alpha1.UnforwardableBlock,
		Log:                ResolveLog(s.Runner),
	}
	if d := s.Delivery.Unforwardable.DeadLetter; d != nil {
		out.DeadLetterTopic = d.Topic
	}
	if d := s.Buffer.Drain; d != nil {
		out.DrainMessages = int(ptr.Deref(d.MessagesPerSecond, 0))
		if d.BytesPerSecond != nil {
			out.DrainBytes = d.BytesPerSecond.Value()
		}
	}
	if d := s.Buffer.Disk; d != nil {
		directions := min(len(localToRemote), 1) + min(len(remoteToLocal), 1)
		out.Disk = Disk{
			Bytes:    diskBytesPerDirection(d.Size.Value(), directions),
			WhenFull: *d.WhenFull,
			TTL:      seconds(ptr.Deref(d.MessageTTLSeconds, 0)),
		}
	}
	if n := s.Notifications; n != nil {
		out.Notifications = Notifications{Topic: n.Topic, QoS: byte(*n.QoS & 1)}
	}
	out.Tracing = resolveTracing(s.Tracing)
	if out.Local, err = resolveSide(&s.Local, field.NewPath("spec", "local"), localToRemote, remoteToLocal); err != nil {
		return nil, fmt.Errorf("local: %w", err)
	}
	if out.Remote, err = resolveSide(&s.Remote, field.NewPath("spec", "remote"), remoteToLocal, localToRemote); err != nil {
		return nil, fmt.Errorf("remote: %w", err)
	}
	return out, nil
}

// samplerVariable is the environment variable of OpenTelemetry that names a sampler.
const samplerVariable = "OTEL_TRACES_SAMPLER"

func resolveTracing(t *v1alpha1.Tracing) *Tracing {
	if t == nil {
		return nil
	}
	rate := ptr.Deref(t.SamplingRatePerMillion, v1alpha1.DefaultSamplingRatePerMillion)
	return &Tracing{
		Endpoint:      t.Endpoint,
		PerMillion:    uint32(rate), //nolint:gosec // validated
		ByEnvironment: t.SamplingRatePerMillion == nil && os.Getenv(samplerVariable) != "",
		Topics:        t.Topics == v1alpha1.TraceTopicsRecord,
	}
}

func seconds[T int32 | int64](n T) time.Duration { return time.Duration(n) * time.Second }

// diskBytesPerDirection returns the largest size of one direction's buffer on disk, in bytes:
// its share of nine tenths of the volume.
func diskBytesPerDirection(volume int64, directions int) int64 {
	return volume / 10 * 9 / int64(max(directions, 1))
}

// ResolveLog returns the settings of the log of a valid spec whose defaults are resolved.
func ResolveLog(r *v1alpha1.Runner) Log {
	out := Log{JSON: r.LogFormat == v1alpha1.LogFormatJSON}
	// The level is validated. slog uses the same names.
	if err := out.Level.UnmarshalText([]byte(r.LogLevel)); err != nil {
		out.Level = slog.LevelInfo
	}
	return out
}

var versions = map[v1alpha1.ProtocolVersion]packet.Version{
	v1alpha1.ProtocolVersion311: packet.V311,
	v1alpha1.ProtocolVersion5:   packet.V5,
}

// resolveSide translates the side at path. rules are the rules of the direction whose source is this
// side, reverse the rules of the direction whose destination it is.
func resolveSide(s *v1alpha1.Side, path *field.Path, rules, reverse []manifest.Rule) (Side, error) {
	policy, err := resolveFailover(s.Failover)
	if err != nil {
		return Side{}, err
	}
	expiry, err := manifest.ParseSessionExpiry(s.SessionExpiry)
	if err != nil {
		return Side{}, err
	}
	out := Side{
		Version:       versions[*s.ProtocolVersion],
		BridgeFlag:    *s.BridgeMode == v1alpha1.BridgeModeAuto,
		ClientID:      s.ClientID,
		ProbeClientID: s.Failover.Probe.ClientID,
		// Without rules the bridge has no subscriptions on this side, so no messages wait in
		// the session and the bridge does not need to resume it.
		CleanSession:      *s.CleanSession || len(rules) == 0,
		ReconnectOnChange: *s.Reconnect == v1alpha1.ReconnectOnChange,
		DiscardStale:      *s.Failover.StaleSession == v1alpha1.StaleSessionDiscard,
		SessionExpiry:     expiry,
		MaximumPacketSize: int(s.MaximumPacketSize.Value()),
		KeepAlive:         seconds(*s.KeepAliveSeconds),
		ConnectTimeout:    seconds(*s.Failover.ConnectTimeoutSeconds),
		PingTimeout:       seconds(*s.Failover.PingTimeoutSeconds),
		AckTimeout:        seconds(*s.Failover.AckTimeoutSeconds),
		ProbeTimeout:      seconds(*s.Failover.Probe.TimeoutSeconds),
		Failover:          policy,
	}
	for i := range reverse {
		out.PublishQoS = max(out.PublishQoS, reverse[i].QoS)
	}
	for i, server := range s.Servers() {
		resolved, err := resolveServer(s, &server, paths{path, manifest.ServerPath(path, i)})
		if err != nil {
			return Side{}, fmt.Errorf("server %s: %w", server.Name, err)
		}
		out.Servers = append(out.Servers, resolved)
	}
	return out, nil
}

// paths are the paths of a side and of one of its servers.
type paths struct{ side, server *field.Path }

// override returns the server's setting, or its side's if the server has none, and its path.
func override[T any](side, server *T, at paths, name string) (*T, *field.Path) {
	if server != nil {
		return server, at.server.Child(name)
	}
	return side, at.side.Child(name)
}

// resolveServer translates a server. Its settings override the settings of its side.
func resolveServer(side *v1alpha1.Side, server *v1alpha1.Server, at paths) (Server, error) {
	address, err := manifest.ParseURL(server.URL)
	if err != nil {
		return Server{}, err
	}
	out := Server{Name: server.Name, URL: v1alpha1.PublicURL(server.URL), Address: address}
	out.Login = resolveLogin(override(side.Credentials, server.Credentials, at, "credentials"))
	if out.Proxy, err = resolveProxy(override(side.Proxy, server.Proxy, at, "proxy")); err != nil {
		return Server{}, err
	}
	if address.TLS {
		out.TLS = resolveTLS(override(side.TLS, server.TLS, at, "tls"))
		if out.TLS.ServerName == "" {
			out.TLS.ServerName = address.Host
		}
	}
	if address.WebSocket {
		out.Headers, out.Query = resolveWebSocket(override(side.WebSocket, server.WebSocket, at, "webSocket"))
	}
	return out, nil
}

func resolveLogin(c *v1alpha1.Credentials, path *field.Path) Login {
	if c == nil {
		return Login{}
	}
	out := Login{
		UsernameFrom: manifest.UsernameReference(c.Username, path.Child("username")),
		Password:     manifest.SecretReference(c.Password, path.Child("password")),
	}
	if c.Username != nil {
		out.Username = c.Username.Value
	}
	return out
}

func resolveProxy(p *v1alpha1.Proxy, path *field.Path) (Proxy, error) {
	if p == nil {
		return Proxy{}, nil
	}
	u, err := manifest.ParseProxyURL(p.URL)
	if err != nil {
		return Proxy{}, err
	}
	return Proxy{Scheme: u.Scheme, HostPort: u.Host, Login: resolveLogin(p.Credentials, path.Child("credentials"))}, nil
}

func resolveTLS(t *v1alpha1.TLS, path *field.Path) TLS {
	if t == nil {
		return TLS{}
	}
	return TLS{
		ServerName:  strings.TrimSuffix(t.ServerName, "."),
		ALPN:        t.ALPN,
		CA:          manifest.CAReference(t.CA, path.Child("ca")),
		Certificate: manifest.CertificateReference(t.Certificate, path.Child("certificate")),
		Key:         manifest.SecretReference(t.Key, path.Child("key")),
	}
}

func resolveWebSocket(w *v1alpha1.WebSocket, path *field.Path) (headers []Header, query manifest.Reference) {
	if w == nil {
		return nil, manifest.Reference{}
	}
	for i := range w.Headers {
		h := &w.Headers[i]
		from := manifest.SecretReference(h.ValueFrom, path.Child("headers").Index(i).Child("valueFrom"))
		headers = append(headers, Header{Name: h.Name, Value: h.Value, From: from})
	}
	return headers, manifest.SecretReference(w.QueryFrom, path.Child("queryFrom"))
}
