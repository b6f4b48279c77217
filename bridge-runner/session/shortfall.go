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

// Shortfall is what a connected server does not do as it was asked to. Its text is the
// same each time that the same thing happens.
type Shortfall struct {
	// Reason is a reason of the condition Degraded in package v1alpha1.
	Reason string
	// Message says what is missing, what that costs, and what to do about it.
	Message string
}

// Shortfalls returns what the server of a session that has subscribed does not do as it
// was asked to. At most one has the same reason.
func (s *Session) Shortfalls() []Shortfall {
	var all []Shortfall
	s.state.mu.Lock()
	lowered, most := s.state.lowered, s.server.MaximumQoS
	if s.state.out.takesNoQoS2() {
		most = min(most, 1)
	}
	s.state.mu.Unlock()
	var qos []string
	if text := s.loweredPublishQoS(most); text != "" {
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

// loweredQoS explains subscriptions at a lower QoS than asked for (section 3.9.3).
func loweredQoS(all []lowered) string {
	cost := "messages may come twice"
	each := make([]string, len(all))
	for i, l := range all {
		if l.granted == 0 {
			cost = "messages are lost while the bridge is disconnected"
		}
		each[i] = fmt.Sprintf("%q (QoS %d instead of %d)", l.filter, l.granted, l.asked)
	}
	return fmt.Sprintf(
		"the server grants a lower QoS than the rules have, so that %s; allow the QoS on the server, or set the rules' qos to it: %s", cost, strings.Join(each, ", "))
}

// loweredPublishQoS explains that the server takes messages at most at a QoS below that
// of the rules: it says so (MQTT 5 section 3.2.2.3.4), or has shown it. It is empty if that
// is not so.
func (s *Session) loweredPublishQoS(most byte) string {
	cost := "messages may come twice"
	switch {
	case most >= s.cfg.PublishQoS:
		return ""
	case most == 0:
		cost = "messages are lost when the connection fails"
	}
	return fmt.Sprintf("the server takes messages at QoS %d at most and the rules have QoS %d, so that %s; allow the QoS on the server, or set the rules' qos to it",
		most, s.cfg.PublishQoS, cost)
}

// loweredExpiry explains a Session Expiry Interval below the one that was asked for (MQTT
// 5 section 3.2.2.3.2).
func (s *Session) loweredExpiry() *Shortfall {
	asked := s.cfg.SessionExpiry
	if s.version != packet.V5 || s.cfg.CleanStart || !s.server.HasSessionExpiry || s.server.SessionExpiry >= asked {
		return nil
	}
	wanted := fmt.Sprintf("%d s", asked)
	if asked == math.MaxUint32 {
		wanted = "without end"
	}
	if s.server.SessionExpiry == 0 {
		return &Shortfall{v1alpha1.ReasonSessionExpiryLowered, fmt.Sprintf(
			"the server ends the session with each connection (session expiry 0 s; asked for: %s), so that messages are lost while the bridge is disconnected; allow persistent sessions on the server, or set cleanSession: true if these messages are of no use", wanted)}
	}
	return &Shortfall{v1alpha1.ReasonSessionExpiryLowered, fmt.Sprintf(
		"the server keeps the session for %d s without a connection (asked for: %s), so that messages are lost in a longer outage; raise the server's limit, or set sessionExpirySeconds: %d if that is enough",
		s.server.SessionExpiry, wanted, s.server.SessionExpiry)}
}

// Remarks returns what is worth to know about how the connection was made.
func (s *Session) Remarks() []string {
	var all []string
	for _, mistake := range s.server.Mistakes {
		all = append(all, "the server's CONNACK has "+mistake)
	}
	if !s.server.RetainAvailable {
		all = append(all, "the server keeps no retained messages; messages are sent to it without the retain flag")
	}
	if s.state.refusesBit() && !s.cfg.BridgeBit {
		all = append(all, "the server refuses the bridge bit, so it is left out; bridgeMode: Off saves the attempt")
	}
	return all
}
