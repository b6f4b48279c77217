// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"context"
	"fmt"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
)

// Subscription is a topic filter and the highest QoS at which the server is to
// send what matches it.
type Subscription struct {
	Filter string
	QoS    byte
	// RetainHandling says when the server sends retained messages (MQTT 5 section
	// 3.8.3.1): 0 always, 1 where the session does not have the subscription, 2 never.
	RetainHandling byte
	// ID is the Subscription Identifier (MQTT 5 section 3.8.2.1.2), 0 for none.
	ID uint32
}

// subscribeIDs is the lowest packet identifier of a SUBSCRIBE. Messages have lower ones.
const subscribeIDs = 65280

// subscribeID is the packet identifier of a SUBSCRIBE.
const subscribeID = 65535

// Subscribe subscribes and waits for the server's answer. Where the server refuses
// one of the filters the error names it.
func (s *Session) Subscribe(ctx context.Context, subscriptions []Subscription) error {
	for _, batch := range s.batches(subscriptions) {
		if err := s.subscribe(ctx, batch); err != nil {
			return err
		}
	}
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	s.state.subscribed = true
	return nil
}

// batches makes one SUBSCRIBE of the subscriptions with the same identifier.
func (s *Session) batches(subscriptions []Subscription) []packet.Subscribe {
	var all []packet.Subscribe
	for _, sub := range subscriptions {
		if !s.IdentifiesSubscriptions() {
			sub.ID = 0
		}
		if len(all) == 0 || all[len(all)-1].SubscriptionID != sub.ID {
			all = append(all, packet.Subscribe{ID: subscribeID, SubscriptionID: sub.ID})
		}
		last := &all[len(all)-1]
		last.Subscriptions = append(last.Subscriptions, packet.Subscription{
			Filter: sub.Filter,
			QoS:    sub.QoS,
			// The options are of MQTT 5. What the bridge publishes does not come back
			// to it, and retain flags come as they were published.
			NoLocal:           true,
			RetainAsPublished: true,
			RetainHandling:    sub.RetainHandling,
		})
	}
	return all
}

func (s *Session) subscribe(ctx context.Context, p packet.Subscribe) error {
	s.write(func(b []byte) []byte { return packet.AppendSubscribe(b, s.version, &p) })
	s.Flush()
	var ack packet.Suback
	select {
	case ack = <-s.acks:
	case <-s.gone:
		if s.err == nil {
			return &Error{Reason: v1alpha1.ReasonConnectionClosed, Message: "the session was closed while it subscribed"}
		}
		return s.err
	case <-ctx.Done():
		return newError(v1alpha1.ReasonConnectTimeout, "the server did not answer SUBSCRIBE within connectTimeoutSeconds", ctx.Err())
	}
	if len(ack.Codes) != len(p.Subscriptions) {
		err := newError(v1alpha1.ReasonProtocolError, fmt.Sprintf("the server answered a subscription to %d filters with %d codes", len(p.Subscriptions), len(ack.Codes)), nil) // [MQTT-3.9.3-1]
		s.refuse(packet.CodeProtocolError, err, Ending{ByServer: true})
		return err
	}
	for i, code := range ack.Codes {
		if code >= codeRefused {
			return subscribeError(p.Subscriptions[i].Filter, code, ack.Reason)
		}
		if code < 2 && p.Subscriptions[i].QoS == 2 && s.version == packet.V311 {
			s.state.doubtQoS2()
		}
	}
	return nil
}

// suback hands a SUBACK to who waits for it.
func (s *Session) suback(a packet.Suback) error {
	if a.ID == subscribeID {
		select {
		case s.acks <- a:
			return nil
		default:
		}
	}
	return protocolError(packet.CodeProtocolError, "a SUBACK that answers no SUBSCRIBE")
}

// subscribeError explains why a server refuses a filter (section 3.9.3).
func subscribeError(filter string, code byte, reason string) *Error {
	const remedy = "allow the bridge's user to read it, or change the rule's filter"
	why := ""
	switch code {
	case 0x80:
	case 0x87:
		why = ": not authorised"
	case 0x8F:
		why = ": the filter is not allowed"
	case 0x91:
		why = ": the packet identifier is in use"
	case codeQuotaExceeded:
		why = ": its quota is exceeded"
	case 0x9E:
		why = ": it has no shared subscriptions"
	case 0xA2:
		why = ": it has no wildcard subscriptions"
	default:
		why = fmt.Sprintf(": reason code 0x%02x", code)
	}
	return newError(v1alpha1.ReasonSubscriptionRefused, fmt.Sprintf("the server refuses the subscription to %q%s%s; %s", filter, why, quoted(reason), remedy), nil)
}
