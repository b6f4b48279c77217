// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package check

import (
	"fmt"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/diagnosis"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
)

// limitations describe the limits of a server with which the bridge would work less well than
// configured.
func (t *target) limitations(ack *packet.Connack, v packet.Version) []string {
	var all []string
	if v != packet.V5 {
		return nil // such a server cannot announce limits
	}
	if ack.MaximumQoS < t.side.PublishQoS {
		all = append(all, fmt.Sprintf("the server accepts messages at QoS %d at most; the rules publish at QoS %d on this side, so that the bridge lowers the QoS", ack.MaximumQoS, t.side.PublishQoS))
	}
	if !ack.SubscriptionIDsAvailable && len(t.rules) > 1 {
		all = append(all, "the server does not support subscription identifiers, so that the bridge subscribes to the filters that no other filter covers")
	}
	if ack.HasServerKeepAlive && ack.ServerKeepAlive > 0 && time.Duration(ack.ServerKeepAlive)*time.Second < t.side.KeepAlive {
		all = append(all, fmt.Sprintf("the server requires a keep alive of %d s, which replaces keepAliveSeconds: %d", ack.ServerKeepAlive, int(t.side.KeepAlive.Seconds())))
	}
	return all
}

// unsupported returns the reason why the server cannot work with the rules of the bridge, or nil.
func (t *target) unsupported(ack *packet.Connack) *diagnosis.Problem {
	if ack.WildcardAvailable {
		return nil
	}
	for i := range t.rules {
		if filter := t.rules[i].Filter; filter.Wildcards() > 0 {
			return &diagnosis.Problem{
				Reason:  v1alpha1.ReasonSubscriptionRefused,
				Message: fmt.Sprintf("the server does not support wildcards in subscriptions, and the rule %q has the filter %q; enable wildcard subscriptions on the server, or use filters without + and #", t.rules[i].Name, filter),
			}
		}
	}
	return nil
}

// refused is the lowest reason code of a refusal (MQTT 5 section 2.4).
const refused = 0x80

// published adds the result of a message that was published. ack is nil if the message had QoS 0.
func (s *Server) published(topic string, ack *packet.Ack, v packet.Version) {
	s.Publish = &Publish{Topic: topic, Acknowledged: ack != nil && ack.Code < refused}
	if ack == nil {
		s.Remarks = append(s.Remarks, "the server accepts QoS 0 only, so that it did not acknowledge the message")
		return
	}
	s.Publish.Code = ack.Code
	if v == packet.V311 {
		s.Remarks = append(s.Remarks, "a server of MQTT 3.1.1 acknowledges a message also if it drops the message because the client has no right to publish it")
	}
	if ack.Code >= refused {
		message := fmt.Sprintf("the server refuses a message on %q with the reason code 0x%02x", topic, ack.Code)
		if ack.Reason != "" {
			message += fmt.Sprintf(" (%q)", ack.Reason)
		}
		s.fail(&diagnosis.Problem{Reason: v1alpha1.ReasonPublishRefused, Message: message + "; give the client the right to publish on this topic"})
	}
}

// forwardedBy describes the rules by which the bridge, if it runs, forwards the message of
// Options.Publish.
func (t *target) forwardedBy(topic string) []string {
	var all []string
	for i := range t.rules {
		if r := &t.rules[i]; r.Filter.Match(topic) && !r.Excludes(topic) {
			all = append(all, fmt.Sprintf("the rule %q forwards the published message if the bridge runs; publish on a topic that no rule matches to avoid this", r.Name))
		}
	}
	return all
}
