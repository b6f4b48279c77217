// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package explain

import (
	"fmt"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/session"
)

// Return is a rule of the other direction that matches a published message: the message comes back
// if the server sends it to the bridge.
type Return struct {
	Rule string `json:"rule"`
	// Topic and QoS describe the message that would come back. Topic is empty if the rule does not
	// forward it.
	Topic string `json:"topic,omitempty"`
	QoS   byte   `json:"qos"`
	// Endless is whether the message, once it comes back, would circulate without end.
	Endless bool `json:"endless"`
	// PreventedBy says what prevents the return. Message explains it.
	PreventedBy Prevention `json:"preventedBy"`
	Message     string     `json:"message"`
}

// Prevention is a mechanism that prevents the return of a message.
type Prevention string

// The mechanisms.
const (
	// PreventedByNothing means that the message comes back.
	PreventedByNothing Prevention = "Nothing"
	// PreventedByNoLocal is the option of MQTT 5 by which a server does not send the bridge's own
	// messages back.
	PreventedByNoLocal Prevention = "NoLocal"
	// PreventedByBridgeFlag is the flag of MQTT 3.1.1 with the same effect.
	PreventedByBridgeFlag Prevention = "BridgeFlag"
	// PreventedByRule means that the rule does not forward the message, for example because it
	// excludes the topic.
	PreventedByRule Prevention = "Rule"
)

// returns explains the ways back of a message that the bridge publishes on a side.
func (b *decider) returns(at *side, m *session.Message, search *search) []Return {
	var out []Return
	for _, d := range derive(at, m) {
		r := Return{Rule: at.rules[d.Rule].Name, Topic: d.Message.Topic, QoS: d.Message.QoS}
		if d.Cause != "" {
			r.PreventedBy, r.Message = PreventedByRule, b.why(&at.rules[d.Rule], m.Topic, d.Cause)
			out = append(out, r)
			continue
		}
		r.Endless = search.circulates(at.other, &d.Message, 1)
		r.PreventedBy, r.Message = b.prevention(at)
		out = append(out, r)
	}
	return out
}

// prevention says what prevents that the servers of a side send the bridge's own messages back.
func (b *decider) prevention(s *side) (by Prevention, message string) {
	switch {
	case s.settings.Version == packet.V5:
		return PreventedByNoLocal, fmt.Sprintf("the servers of %s do not send the bridge's own messages back, because it subscribes with the option No Local of MQTT 5", s.name)
	case s.settings.BridgeFlag && b.settings.Loop:
		return PreventedByBridgeFlag, fmt.Sprintf("the servers of %s do not send the bridge's own messages back, because of the bridge flag of MQTT 3.1.1; since the rules form a loop, the bridge does not use a server that refuses the flag", s.name)
	case s.settings.BridgeFlag:
		return PreventedByBridgeFlag, fmt.Sprintf("the servers of %s do not send the bridge's own messages back, because of the bridge flag of MQTT 3.1.1; a server that refuses the flag sends them back", s.name)
	}
	return PreventedByNothing, fmt.Sprintf("with MQTT 3.1.1 and bridgeMode: Off, the servers of %s send the bridge's own messages back; set protocolVersion: '5' or bridgeMode: Auto on that side, or add the topic to exclude of the rule, if this is not intended", s.name)
}

// visit is a side on which the bridge has published a message of a topic.
type visit struct {
	at    *side
	topic string
}

// The limits of a search. A search that reaches searchBytes treats the remaining messages as messages
// that do not circulate.
const (
	// searchBytes bounds the size of the topics of a search, and visitBytes is the part of a visit
	// besides its topic, in bytes.
	searchBytes = 4 << 20
	visitBytes  = 100
	// A topic that is longer than the topic of the client's message after maxSteps steps, or is
	// longer than longTopic bytes after growthSteps steps, becomes longer with each round.
	maxSteps    = 256
	growthSteps = 8
	longTopic   = 8192
)

// search looks for messages that circulate if all servers send the bridge's own messages back.
type search struct {
	// start is the length of the topic of the client's message, in bytes.
	start int
	// visits are true for the messages on the way, and for the messages from which a loop was found.
	// They are false for the messages that are known to end.
	visits map[visit]bool
	// bytes is the remaining part of searchBytes.
	bytes int
}

func newSearch(start int) *search {
	return &search{start: start, visits: map[visit]bool{}, bytes: searchBytes}
}

// circulates reports whether a message that the bridge publishes on a side would circulate without
// end: it comes to a topic again, or its topic becomes longer with each round. delivery.maxHops ends
// every loop.
func (s *search) circulates(at *side, m *session.Message, steps int) bool {
	key := visit{at, m.Topic}
	if circulates, known := s.visits[key]; known {
		return circulates
	}
	s.bytes -= len(m.Topic) + visitBytes
	switch longer := len(m.Topic) > s.start; {
	case len(at.rules) == 0, at.rules[0].MaxHops > 0, s.bytes < 0: // all rules have the same MaxHops
		return false
	case longer && steps >= maxSteps, longer && steps > growthSteps && len(m.Topic) > longTopic:
		return true
	}
	s.visits[key] = true
	for _, d := range derive(at, m) {
		if d.Cause == "" && s.circulates(at.other, &d.Message, steps+1) {
			return true
		}
	}
	s.visits[key] = false
	return false
}
