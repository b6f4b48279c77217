// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"fmt"
	"math"
	"strings"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
)

// Shortfall is a feature that a connected server does not provide as configured. Its text
// is the same each time that the same thing happens.
type Shortfall struct {
	// Reason is a reason of the condition Degraded in package v1alpha1.
	Reason string
	// Message describes the missing feature, the consequence and the remedy.
	Message string
}

// Shortfalls returns the shortfalls of the server of a session that has subscribed. Their
// reasons are all different.
func (s *Session) Shortfalls() []Shortfall {
	var all []Shortfall
	s.state.mu.Lock()
	lowered, maxQoS := s.state.lowered, s.server.MaximumQoS
	if s.state.out.limitedToQoS1() {
		maxQoS = min(maxQoS, 1)
	}
	s.state.mu.Unlock()
	var qos []string
	if text := s.loweredPublishQoS(maxQoS); text != "" {
		qos = append(qos, text)
	}
	if len(lowered) > 0 {
		qos = append(qos, loweredQoS(lowered))
	}
	if len(qos) > 0 {
		all = append(all, Shortfall{v1alpha1.ReasonQoSLowered, strings.Join(qos, "; ")})
	}
	if short := s.loweredExpiry(); short != nil {
		all = append(all, *short)
	}
	return all
}

// loweredQoS explains subscriptions at a lower QoS than requested (section 3.9.3).
func loweredQoS(all []loweredFilter) string {
	cost := "messages may arrive twice"
	each := make([]string, len(all))
	for i, l := range all {
		if l.granted == 0 {
			cost = "messages are lost while the bridge is disconnected"
		}
		each[i] = fmt.Sprintf("%q (QoS %d instead of %d)", l.filter, l.granted, l.requested)
	}
	return fmt.Sprintf(
		"the server grants a lower QoS than the rules request, so that %s; allow the QoS on the server, or set the rules' qos to the granted QoS: %s", cost, strings.Join(each, ", "))
}

// loweredPublishQoS explains that the server accepts messages only at a QoS below the
// rules' QoS: the server has announced it (MQTT 5 section 3.2.2.3.4) or shown it. It
// returns "" if the server accepts the rules' QoS.
func (s *Session) loweredPublishQoS(maxQoS byte) string {
	cost := "messages may arrive twice"
	switch {
	case maxQoS >= s.cfg.PublishQoS:
		return ""
	case maxQoS == 0:
		cost = "messages are lost when the connection fails"
	}
	return fmt.Sprintf("the server accepts messages at QoS %d at most and the rules request QoS %d, so that %s; allow the QoS on the server, or lower the rules' qos to %d",
		maxQoS, s.cfg.PublishQoS, cost, maxQoS)
}

// loweredExpiry explains a Session Expiry Interval below the requested one (MQTT 5 section
// 3.2.2.3.2). It returns nil if it is not lower.
func (s *Session) loweredExpiry() *Shortfall {
	asked := s.cfg.SessionExpiry
	if s.version != packet.V5 || s.cfg.CleanStart || !s.server.HasSessionExpiry || s.server.SessionExpiry >= asked {
		return nil
	}
	askedText := fmt.Sprintf("%d s", asked)
	if asked == math.MaxUint32 {
		askedText = "unlimited"
	}
	if s.server.SessionExpiry == 0 {
		return &Shortfall{v1alpha1.ReasonSessionExpiryLowered, fmt.Sprintf(
			"the server deletes the session when the connection ends (session expiry 0 s; requested: %s), so that messages are lost while the bridge is disconnected; allow persistent sessions on the server, or set cleanSession: true if these messages are not needed", askedText)}
	}
	return &Shortfall{v1alpha1.ReasonSessionExpiryLowered, fmt.Sprintf(
		"the server keeps the session for %d s without a connection (requested: %s), so that messages are lost during a longer outage; raise the server's limit, or set sessionExpirySeconds: %d if this time is long enough",
		s.server.SessionExpiry, askedText, s.server.SessionExpiry)}
}

// Warnings returns notes about how the connection was made, for the log.
func (s *Session) Warnings() []string {
	var all []string
	for _, mistake := range s.server.Violations {
		all = append(all, "the server's CONNACK has "+mistake)
	}
	if !s.server.RetainAvailable {
		all = append(all, "the server does not support retained messages; the bridge sends messages to it without the retain flag")
	}
	if s.state.refusesBridgeFlag() && !s.cfg.BridgeFlag {
		all = append(all, "the server refuses the bridge flag, so the bridge connects without it; set bridgeMode: Off to avoid the attempt with the flag")
	}
	return all
}
