// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
)

// Subscription is a topic filter and the highest QoS at which the server should send
// matching messages.
type Subscription struct {
	Filter string
	QoS    byte
	// RetainHandling controls when the server sends retained messages (MQTT 5 section
	// 3.8.3.1): 0 always, 1 if the session does not have the subscription yet, 2 never.
	RetainHandling byte
	// ID is the Subscription Identifier (MQTT 5 section 3.8.2.1.2), 0 for none.
	ID uint32
}

const (
	// minSubscribeID is the lowest packet identifier of a SUBSCRIBE. Messages have lower
	// identifiers.
	minSubscribeID = 65280
	// maxSubscribes is the largest number of SUBSCRIBE packets that wait for an answer at a
	// time: each has its own packet identifier.
	maxSubscribes = 65536 - minSubscribeID
	// maxFilters is the largest number of filters in one SUBSCRIBE. AWS IoT Core closes the
	// connection at more than 8, Azure Event Grid at more than 10.
	maxFilters = 8
)

// Subscribe subscribes and waits for the server's answers. It writes all SUBSCRIBE packets
// at once, and the server may answer them in any order, so that it takes one round trip. If
// the server refuses filters, the error names each of them.
//
// Messages may arrive before the answers, and on a slow link they can take long. So
// Subscribe fails only if for Config.ConnectTimeout the server sends nothing except answers
// to pings, and accepts no data.
func (s *Session) Subscribe(ctx context.Context, subscriptions []Subscription) error {
	packets, err := s.makeSubscribes(subscriptions)
	if err != nil {
		return err
	}
	var answered answers
	for chunk := range slices.Chunk(packets, maxSubscribes) {
		if err := s.subscribe(ctx, chunk, &answered); err != nil {
			return err
		}
	}
	if len(answered.refused) > 0 {
		return answered.error()
	}
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	s.state.subscribed, s.state.lowered = true, answered.lowered
	return nil
}

// makeSubscribes makes the SUBSCRIBE packets. A packet has one Subscription Identifier, at
// most maxFilters filters, and no more bytes than the server accepts.
func (s *Session) makeSubscribes(subscriptions []Subscription) ([]*packet.Subscribe, error) {
	var all []*packet.Subscribe
	for _, sub := range subscriptions {
		if !s.IdentifiesSubscriptions() {
			sub.ID = 0
		}
		one := packet.Subscription{
			Filter: sub.Filter,
			QoS:    sub.QoS,
			// These are options of MQTT 5. The server does not send the bridge's own
			// messages back, and keeps the retain flags of messages.
			NoLocal:           true,
			RetainAsPublished: true,
			RetainHandling:    sub.RetainHandling,
		}
		if len(all) > 0 {
			last := all[len(all)-1]
			if last.SubscriptionID == sub.ID && len(last.Subscriptions) < maxFilters {
				last.Subscriptions = append(last.Subscriptions, one)
				if s.acceptsSubscribe(last) {
					continue
				}
				last.Subscriptions = last.Subscriptions[:len(last.Subscriptions)-1]
			}
		}
		p := &packet.Subscribe{SubscriptionID: sub.ID, Subscriptions: []packet.Subscription{one}}
		if !s.acceptsSubscribe(p) { // [MQTT-3.2.2-15]
			return nil, newError(v1alpha1.ReasonSubscriptionRefused, fmt.Sprintf(
				"the subscription to %q is larger than the server's maximum packet size of %d bytes; raise this limit on the server, or shorten the rule's filter",
				sub.Filter, s.server.MaximumPacketSize), nil)
		}
		all = append(all, p)
	}
	for i := range all {
		all[i].ID = minSubscribeID + uint16(i%maxSubscribes)
	}
	return all, nil
}

func (s *Session) acceptsSubscribe(p *packet.Subscribe) bool {
	limit := s.server.MaximumPacketSize
	return limit == 0 || int64(len(packet.AppendSubscribe(nil, s.version, p))) <= int64(limit)
}

// subscribe sends the packets and waits until each is answered.
func (s *Session) subscribe(ctx context.Context, packets []*packet.Subscribe, answered *answers) error {
	s.expectSubacks(packets)
	for _, p := range packets {
		s.write(func(b []byte) []byte { return packet.AppendSubscribe(b, s.version, p) })
	}
	s.Flush()
	silence := newSilentWait(s)
	defer silence.stop()
	waiting := slices.Clone(packets)
	for len(waiting) > 0 {
		var err *Error
		select {
		case ack := <-s.subacks:
			waiting, err = s.applySuback(waiting, ack, answered)
		case <-s.closedCh:
			waiting, err = s.applyPendingSubacks(waiting, answered)
		case <-ctx.Done():
			err = newError(v1alpha1.ReasonConnectTimeout, "the attempt was ended before the server answered SUBSCRIBE", ctx.Err())
		case <-silence.tick():
			if !silence.expired() {
				continue
			}
			err = newError(v1alpha1.ReasonConnectTimeout, "the server did not answer SUBSCRIBE within connectTimeoutSeconds", nil)
		}
		if err != nil {
			return subscribingError(waiting, answered, err)
		}
	}
	return nil
}

// expectSubacks records the SUBACKs that are expected.
func (s *Session) expectSubacks(packets []*packet.Subscribe) {
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	s.expectedSubacks = make(map[uint16]bool, len(packets))
	for _, p := range packets {
		s.expectedSubacks[p.ID] = true
	}
}

// handleSuback passes a SUBACK to the goroutine that waits for it. It returns an error if
// none waits.
func (s *Session) handleSuback(a packet.Suback) error {
	s.state.mu.Lock()
	expected := s.expectedSubacks[a.ID]
	delete(s.expectedSubacks, a.ID)
	s.state.mu.Unlock()
	if !expected {
		return protocolError(packet.CodeProtocolError, "a SUBACK that answers no SUBSCRIBE")
	}
	s.subacks <- a // the channel has room for all expected SUBACKs
	return nil
}

// applyPendingSubacks applies the SUBACKs that arrived before the session ended. If packets
// remain unanswered, the error is the reason for the end.
func (s *Session) applyPendingSubacks(waiting []*packet.Subscribe, answered *answers) (left []*packet.Subscribe, failed *Error) {
	for {
		select {
		case ack := <-s.subacks:
			var err *Error
			if waiting, err = s.applySuback(waiting, ack, answered); err != nil {
				return waiting, err
			}
			continue
		default:
		}
		var ended *Error
		switch {
		case len(waiting) == 0:
			return nil, nil
		case errors.As(s.err, &ended):
			return waiting, ended
		}
		return waiting, newError(v1alpha1.ReasonConnectionClosed, "the session was closed", nil)
	}
}

// applySuback applies a SUBACK, and returns the packets that still wait for one.
func (s *Session) applySuback(waiting []*packet.Subscribe, ack packet.Suback, answered *answers) (left []*packet.Subscribe, failed *Error) {
	at := slices.IndexFunc(waiting, func(p *packet.Subscribe) bool { return p.ID == ack.ID })
	if at < 0 {
		return waiting, nil // it answers an earlier Subscribe, which has failed
	}
	p := waiting[at]
	if len(ack.Codes) != len(p.Subscriptions) { // [MQTT-3.8.4-5]; of 5 [MQTT-3.8.4-6]
		err := newError(v1alpha1.ReasonProtocolError, fmt.Sprintf(
			"the server answered a subscription to %d filters with %d codes, so that it is unknown which filters it granted; update the server",
			len(p.Subscriptions), len(ack.Codes)), nil)
		s.endWithDisconnect(packet.CodeProtocolError, err, Ending{ByServer: true})
		return waiting, err
	}
	for i, sub := range p.Subscriptions {
		switch code := ack.Codes[i]; {
		case code > 2: // from 0x80 refusals; the specification does not define the others
			answered.refused = append(answered.refused, refusedFilter{sub.Filter, code, s.maskSecrets(ack.Reason)})
		case code < sub.QoS:
			answered.lowered = append(answered.lowered, loweredFilter{sub.Filter, sub.QoS, code})
			if sub.QoS == 2 && s.version == packet.V311 {
				s.state.recordQoS2NotGranted()
			}
		}
	}
	return slices.Delete(waiting, at, at+1), nil
}

// answers collects the subscriptions that the server has not granted as requested.
type answers struct {
	refused []refusedFilter
	lowered []loweredFilter
}

// refusedFilter is a filter that the server refuses.
type refusedFilter struct {
	filter string
	code   byte
	reason string // Reason String (MQTT 5 section 3.9.2.1.2)
}

// loweredFilter is a filter that the server granted at a lower QoS than requested.
type loweredFilter struct {
	filter             string
	requested, granted byte // QoS
}

// error explains why the server refuses filters (section 3.9.3).
func (a *answers) error() *Error {
	if len(a.refused) == 1 {
		r := a.refused[0]
		return newError(v1alpha1.ReasonSubscriptionRefused, fmt.Sprintf(
			"the server refuses the subscription to %q%s; allow the bridge's user to subscribe to it, or change the rule's filter", r.filter, r.why()), nil)
	}
	each := make([]string, len(a.refused))
	for i, r := range a.refused {
		each[i] = fmt.Sprintf("%q%s", r.filter, r.why())
	}
	return newError(v1alpha1.ReasonSubscriptionRefused, fmt.Sprintf(
		"the server refuses %d subscriptions; allow the bridge's user to subscribe to them, or change the rules' filters: %s", len(each), strings.Join(each, "; ")), nil)
}

func (r *refusedFilter) why() string {
	why := ""
	switch r.code {
	case codeUnspecified:
	case 0x87:
		why = ": not authorised"
	case 0x8F:
		why = ": the filter is not allowed"
	case codeIDInUse:
		why = ": the packet identifier is in use"
	case codeQuotaExceeded:
		why = ": the server's quota is exceeded"
	case 0x9E:
		why = ": the server does not support shared subscriptions"
	case 0xA1:
		why = ": the server does not support subscription identifiers"
	case 0xA2:
		why = ": the server does not support wildcard subscriptions"
	default:
		why = fmt.Sprintf(": reason code 0x%02x", r.code)
	}
	return why + quotedReason(r.reason)
}

// subscribingError adds to an error the filters that were not granted when it occurred: a
// server that does not allow a filter, or not this number of filters, may close the
// connection instead of answering.
func subscribingError(waiting []*packet.Subscribe, answered *answers, err *Error) *Error {
	if len(answered.refused) > 0 { // this error is more specific
		return answered.error()
	}
	remedy := ""
	switch err.Reason {
	case v1alpha1.ReasonConnectionClosed, v1alpha1.ReasonDisconnected, v1alpha1.ReasonAuthenticationFailed, v1alpha1.ReasonQuotaExceeded:
		remedy = "; check that the server allows the bridge's user to subscribe to these filters, and how many subscriptions it allows"
	}
	return newError(err.Reason, "while subscribing to "+filters(waiting)+": "+err.Message+remedy, err)
}

// filters names the first three filters of the packets.
func filters(packets []*packet.Subscribe) string {
	const few = 3
	var (
		named []string
		more  int
	)
	for _, p := range packets {
		for _, sub := range p.Subscriptions {
			if len(named) == few {
				more++
				continue
			}
			named = append(named, fmt.Sprintf("%.60q", sub.Filter))
		}
	}
	text := strings.Join(named, ", ")
	if more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}
