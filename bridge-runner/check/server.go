// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package check

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/config"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/diagnosis"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/session"
	"github.com/mqttbridge/mqttbridge-operator/internal/manifest"
)

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
		{name: manifest.SideLocal, side: &settings.Local, rules: settings.LocalToRemote},
		{name: manifest.SideRemote, side: &settings.Remote, rules: settings.RemoteToLocal},
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
	name     string // of the side
	settings *config.Settings
	side     *config.Side
	server   *config.Server
	// rules are the rules of the direction whose source is the side.
	rules    []manifest.Rule
	clientID string
}

func (t *target) check(ctx context.Context, o Options) Server {
	out := Server{Side: t.name, Name: t.server.Name, URL: t.server.URL}
	base := t.side.Session(session.Config{
		Window: t.settings.InflightWindow, QoS2Window: t.settings.QoS2Window, RequireNoEcho: t.settings.Loop, ConnectTimeout: t.side.ConnectTimeout,
	})
	cfg, err := config.ServerSession(base, t.side, t.server, config.NewSecrets(o.Secrets).OfCheck())
	if err != nil {
		out.fail(diagnosis.ReferenceMissing(err))
		return out
	}
	out.Usable = true
	if !o.Connect {
		return out
	}
	if slices.Contains([]string{t.side.ClientID, t.side.ProbeClientID}, t.clientID) {
		out.fail(sharedClientID(t.clientID))
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
		if message != nil && found.RoundTrip > 0 { // the server has answered the ping before
			out.Publish = &Publish{Topic: o.Publish}
			out.Message = fmt.Sprintf("after a message on %q, which the client may have no right to publish: %s", o.Publish, out.Message)
		}
		return out
	}
	out.Remarks = append(diagnosis.Remarks(found.Remarks), t.limitations(found.Connack, cfg.Version)...)
	if problem := t.unsupported(found.Connack); problem != nil {
		out.fail(problem)
	}
	if message != nil {
		out.published(o.Publish, found.Publish, cfg.Version)
		out.Remarks = append(out.Remarks, t.forwardedBy(o.Publish)...)
	}
	return out
}

// sharedClientID explains that the check does not connect with a client identifier of the bridge.
func sharedClientID(id string) *diagnosis.Problem {
	return &diagnosis.Problem{
		Reason:  v1alpha1.ReasonClientIDShared,
		Message: fmt.Sprintf("the bridge uses the client identifier %q on this side, and a connection of the check with it would end the connection of a running bridge, and delete its session with all messages; name another identifier that the server accepts", id),
	}
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
