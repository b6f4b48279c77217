// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package check

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"strings"
	"sync"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/config"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/diagnosis"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/session"
	"github.com/mqttbridge/mqttbridge-operator/internal/manifest"
)

// Server is the result of the check of one server.
type Server struct {
	// Side is local or remote.
	Side string `json:"side"`
	Name string `json:"name"`
	// URL is in its public form.
	URL string `json:"url"`
	// Usable is whether the bridge could use the server, as far as the check could find out. If it
	// is false, Reason and Message say why; Reason is a reason of the status of bridges.
	Usable  bool   `json:"usable"`
	Reason  string `json:"reason,omitempty"`
	Message string `json:"message,omitempty"`
	// Address is the network address of the server, or of the proxy if there is one. It is empty if
	// no connection was made.
	Address string `json:"address,omitempty"`
	// ClientID is the client identifier of the check. It is empty if the check did not connect.
	ClientID string `json:"clientID,omitempty"`
	// ProtocolVersion is the version of MQTT.
	ProtocolVersion string `json:"protocolVersion,omitempty"`
	TLS             *TLS   `json:"tls,omitempty"`
	// Connack is the answer to CONNECT. It is nil if the server has sent none.
	Connack *Connack `json:"connack,omitempty"`
	// Publish is the result of Options.Publish.
	Publish *Publish `json:"publish,omitempty"`
	// Remarks describe limitations that the bridge would work with.
	Remarks []string `json:"remarks,omitempty"`
}

// TLS describes the TLS connection to a server.
type TLS struct {
	Version string `json:"version"`
	Subject string `json:"subject"`
	Issuer  string `json:"issuer"`
	// Expires is when the server's certificate expires.
	Expires time.Time `json:"expires"`
}

// Connack is the answer of a server to CONNECT, with the limits that apply to the connection. With
// MQTT 3.1.1, a server cannot announce limits; Code and SessionPresent alone are valid then.
type Connack struct {
	Code           byte `json:"code"`
	SessionPresent bool `json:"sessionPresent"`
	// Milliseconds is the time from the start of the attempt to the answer.
	Milliseconds int64   `json:"milliseconds"`
	Limits       *Limits `json:"limits,omitempty"`
}

// Limits are the limits that a server of MQTT 5 announces, with the defaults of the protocol (MQTT 5
// section 3.2.2.3).
type Limits struct {
	ReceiveMaximum uint16 `json:"receiveMaximum"`
	// MaximumPacketSize is in bytes. 0 means no limit.
	MaximumPacketSize                uint32 `json:"maximumPacketSize"`
	MaximumQoS                       byte   `json:"maximumQoS"`
	RetainAvailable                  bool   `json:"retainAvailable"`
	WildcardSubscriptionAvailable    bool   `json:"wildcardSubscriptionAvailable"`
	SubscriptionIdentifiersAvailable bool   `json:"subscriptionIdentifiersAvailable"`
	SharedSubscriptionAvailable      bool   `json:"sharedSubscriptionAvailable"`
	TopicAliasMaximum                uint16 `json:"topicAliasMaximum"`
	// ServerKeepAliveSeconds is nil if the server accepts the keep alive of the bridge.
	ServerKeepAliveSeconds *uint16 `json:"serverKeepAliveSeconds,omitempty"`
	// AssignedClientID is set if the server replaces the client identifier.
	AssignedClientID string `json:"assignedClientID,omitempty"`
}

// Publish is the result of a message that was published.
type Publish struct {
	Topic string `json:"topic"`
	// Acknowledged is whether the server has acknowledged the message.
	Acknowledged bool `json:"acknowledged"`
	// Code is the reason code of MQTT 5.
	Code byte `json:"code"`
}

// atOnce is the number of servers that are checked at the same time.
const atOnce = 8

// checkServers checks the servers of both sides, in their order.
func checkServers(ctx context.Context, m *config.Manifest, o Options) ([]Server, error) {
	settings, err := config.Resolve(&m.Spec)
	if err != nil {
		return nil, err
	}
	var all []*target
	for _, side := range []*target{
		{Side: manifest.SideLocal, side: &settings.Local, rules: settings.LocalToRemote},
		{Side: manifest.SideRemote, side: &settings.Remote, rules: settings.RemoteToLocal},
	} {
		for i := range side.side.Servers {
			t := *side
			t.settings, t.server, t.clientID = settings, &t.side.Servers[i], o.ClientID
			if t.clientID == "" {
				t.clientID = newClientID(m.Name)
			}
			all = append(all, &t)
		}
	}
	slots := make(chan struct{}, atOnce)
	if o.ClientID != "" { // servers may share their sessions, and end the older of two connections
		slots = make(chan struct{}, 1)
	}
	out := make([]Server, len(all))
	var checks sync.WaitGroup
	for i, t := range all {
		checks.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			out[i] = t.check(ctx, o)
		})
	}
	checks.Wait()
	return out, nil
}

// newClientID returns a client identifier that no other client has, and that every server accepts
// (MQTT 3.1.1 [MQTT-3.1.3-5]): it has 23 letters and digits. It starts with the bridge's name.
func newClientID(name string) string {
	const length = 23
	plain := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, name)
	prefix := plain[:min(len(plain), 8)] + "check"
	return prefix + strings.ToLower(rand.Text())[:length-len(prefix)]
}

// target is a server to check.
type target struct {
	Side     string
	settings *config.Settings
	side     *config.Side
	server   *config.Server
	// rules are the rules of the direction whose source is the side.
	rules    []manifest.Rule
	clientID string
}

func (t *target) check(ctx context.Context, o Options) Server {
	out := Server{Side: t.Side, Name: t.server.Name, URL: t.server.URL}
	base := t.side.Session(session.Config{
		Window: t.settings.InflightWindow, QoS2Window: t.settings.QoS2Window, RequireNoEcho: t.settings.Loop, ConnectTimeout: t.side.ConnectTimeout,
	})
	cfg, err := config.ServerSession(base, t.side, t.server, config.NewSecrets(o.Secrets))
	if err != nil {
		out.fail(diagnosis.ReferenceMissing(err))
		return out
	}
	out.Usable = true
	if !o.Connect {
		return out
	}
	cfg.ClientID = t.clientID
	out.ClientID, out.ProtocolVersion = cfg.ClientID, versionName(cfg.Version)
	var message *session.Message
	if o.Publish != "" {
		message = &session.Message{Topic: o.Publish, Payload: "bridge-runner check", QoS: 1}
	}
	found, err := session.Inspect(ctx, cfg, t.side.ProbeTimeout, message)
	out.describe(&found, cfg.Version)
	if err != nil {
		out.fail(diagnosis.Of(err))
		return out
	}
	out.Remarks = append(diagnosis.Remarks(found.Remarks), t.limitations(found.Connack, cfg.Version)...)
	if problem := t.unsupported(found.Connack); problem != nil {
		out.fail(problem)
	}
	if message != nil {
		out.published(o.Publish, found.Publish)
		out.Remarks = append(out.Remarks, t.forwardedBy(o.Publish)...)
	}
	return out
}

func (s *Server) fail(why *diagnosis.Problem) {
	s.Usable, s.Reason, s.Message = false, why.Reason, why.Message
}

func versionName(v packet.Version) string {
	if v == packet.V5 {
		return "5"
	}
	return "3.1.1"
}

// describe adds the facts about the connection.
func (s *Server) describe(found *session.Inspection, v packet.Version) {
	s.Address = found.Address
	if found.TLS != nil && len(found.TLS.PeerCertificates) > 0 {
		leaf := found.TLS.PeerCertificates[0]
		s.TLS = &TLS{Version: tls.VersionName(found.TLS.Version), Subject: leaf.Subject.String(), Issuer: leaf.Issuer.String(), Expires: leaf.NotAfter.UTC()}
	}
	ack := found.Connack
	if ack == nil {
		return
	}
	s.Connack = &Connack{Code: ack.Code, SessionPresent: ack.SessionPresent, Milliseconds: found.Connecting.Milliseconds()}
	if v != packet.V5 || ack.Code != 0 {
		return
	}
	s.Connack.Limits = &Limits{
		ReceiveMaximum:                   ack.ReceiveMaximum,
		MaximumPacketSize:                ack.MaximumPacketSize,
		MaximumQoS:                       ack.MaximumQoS,
		RetainAvailable:                  ack.RetainAvailable,
		WildcardSubscriptionAvailable:    ack.WildcardAvailable,
		SubscriptionIdentifiersAvailable: ack.SubscriptionIDsAvailable,
		SharedSubscriptionAvailable:      ack.SharedAvailable,
		TopicAliasMaximum:                ack.TopicAliasMaximum,
		AssignedClientID:                 ack.AssignedClientID,
	}
	if ack.HasServerKeepAlive {
		s.Connack.Limits.ServerKeepAliveSeconds = &ack.ServerKeepAlive
	}
}
