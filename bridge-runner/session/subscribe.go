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

const (
	// subscribeIDs is the lowest packet identifier of a SUBSCRIBE. Messages have lower
	// ones.
	subscribeIDs = 65280
	// maxSubscribes is the most SUBSCRIBE packets that wait for an answer at a time: each
	// has its own packet identifier.
	maxSubscribes = 65536 - subscribeIDs
	// maxFilters is the most filters in one SUBSCRIBE. AWS IoT Core closes the
	// connection at more than 8, Azure Event Grid at more than 10.
	maxFilters = 8
)

// Subscribe subscribes and waits for the server's answers. All SUBSCRIBE packets are
// written at once and may be answered in any order, so that it takes one round trip.
// If the server refuses filters, the error names each of them.
//
// Messages may come before the answers, and on a slow link they can take long. So
// Subscribe fails only if the server sends nothing for Config.ConnectTimeout, besides
// answers to pings, and takes nothing.
func (s *Session) Subscribe(ctx context.Context, subscriptions []Subscription) error {
	batches, err := s.batches(subscriptions)
	if err != nil {
		return err
	}
	var answered answers
	for part := range slices.Chunk(batches, maxSubscribes) {
		if err := s.subscribe(ctx, part, &answered); err != nil {
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

// batches makes the SUBSCRIBE packets. One packet has one Subscription Identifier,
// maxFilters filters at most, and no more bytes than the server accepts.
func (s *Session) batches(subscriptions []Subscription) ([]*packet.Subscribe, error) {
	var all []*packet.Subscribe
	for _, sub := range subscriptions {
		if !s.IdentifiesSubscriptions() {
			sub.ID = 0
		}
		one := packet.Subscription{
			Filter: sub.Filter,
			QoS:    sub.QoS,
			// The options are of MQTT 5. What the bridge publishes does not come back
			// to it, and retain flags come as they were published.
			NoLocal:           true,
			RetainAsPublished: true,
			RetainHandling:    sub.RetainHandling,
		}
		if len(all) > 0 {
			last := all[len(all)-1]
			if last.SubscriptionID == sub.ID && len(last.Subscriptions) < maxFilters {
				last.Subscriptions = append(last.Subscriptions, one)
				if s.takesSubscribe(last) {
					continue
				}
				last.Subscriptions = last.Subscriptions[:len(last.Subscriptions)-1]
			}
		}
		p := &packet.Subscribe{SubscriptionID: sub.ID, Subscriptions: []packet.Subscription{one}}
		if !s.takesSubscribe(p) { // [MQTT-3.2.2-15]
			return nil, newError(v1alpha1.ReasonSubscriptionRefused, fmt.Sprintf(
				"the subscription to %q is larger than the server's maximum packet size of %d bytes; raise that on the server, or shorten the rule's filter",
				sub.Filter, s.server.MaximumPacketSize), nil)
		}
		all = append(all, p)
	}
	for i := range all {
		all[i].ID = subscribeIDs + uint16(i%maxSubscribes)
	}
	return all, nil
}

func (s *Session) takesSubscribe(p *packet.Subscribe) bool {
	limit := s.server.MaximumPacketSize
	return limit == 0 || int64(len(packet.AppendSubscribe(nil, s.version, p))) <= int64(limit)
}

// subscribe sends the packets and waits until each is answered.
func (s *Session) subscribe(ctx context.Context, batches []*packet.Subscribe, answered *answers) error {
	s.expectSubacks(batches)
	for _, p := range batches {
		s.write(func(b []byte) []byte { return packet.AppendSubscribe(b, s.version, p) })
	}
	s.Flush()
	silence := newSilentWait(s)
	defer silence.stop()
	waiting := slices.Clone(batches)
	for len(waiting) > 0 {
		var err *Error
		select {
		case ack := <-s.acks:
			waiting, err = s.answer(waiting, ack, answered)
		case <-s.gone:
			waiting, err = s.answersBeforeTheEnd(waiting, answered)
		case <-ctx.Done():
			err = newError(v1alpha1.ReasonConnectTimeout, "the attempt was ended before the server answered SUBSCRIBE", ctx.Err())
		case <-silence.tick():
			if !silence.over() {
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

// expectSubacks notes which SUBACKs are waited for.
func (s *Session) expectSubacks(batches []*packet.Subscribe) {
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	s.expected = make(map[uint16]bool, len(batches))
	for _, p := range batches {
		s.expected[p.ID] = true
	}
}

// suback hands a SUBACK to the goroutine that waits for it. The error says that none
// does.
func (s *Session) suback(a packet.Suback) error {
	s.state.mu.Lock()
	expected := s.expected[a.ID]
	delete(s.expected, a.ID)
	s.state.mu.Unlock()
	if !expected {
		return protocolError(packet.CodeProtocolError, "a SUBACK that answers no SUBSCRIBE")
	}
	s.acks <- a // it has room for all that are expected
	return nil
}

// answersBeforeTheEnd takes the answers that came before the session ended. The error
// says why it ended, if there are too few.
func (s *Session) answersBeforeTheEnd(waiting []*packet.Subscribe, answered *answers) (left []*packet.Subscribe, failed *Error) {
	for {
		select {
		case ack := <-s.acks:
			var err *Error
			if waiting, err = s.answer(waiting, ack, answered); err != nil {
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

// answer takes a SUBACK, and returns the packets that still wait for one.
func (s *Session) answer(waiting []*packet.Subscribe, ack packet.Suback, answered *answers) (left []*packet.Subscribe, failed *Error) {
	at := slices.IndexFunc(waiting, func(p *packet.Subscribe) bool { return p.ID == ack.ID })
	if at < 0 {
		return waiting, nil // of an earlier Subscribe, which has failed
	}
	p := waiting[at]
	if len(ack.Codes) != len(p.Subscriptions) { // [MQTT-3.8.4-5]; of 5 [MQTT-3.8.4-6]
		err := newError(v1alpha1.ReasonProtocolError, fmt.Sprintf(
			"the server answered a subscription to %d filters with %d codes, so that it is unknown which filters it granted; update the server",
			len(p.Subscriptions), len(ack.Codes)), nil)
		s.refuse(packet.CodeProtocolError, err, Ending{ByServer: true})
		return waiting, err
	}
	for i, sub := range p.Subscriptions {
		switch code := ack.Codes[i]; {
		case code > 2: // from 0x80 a refusal; the others are in no table
			answered.refused = append(answered.refused, refused{sub.Filter, code, s.withoutSecrets(ack.Reason)})
		case code < sub.QoS:
			answered.lowered = append(answered.lowered, lowered{sub.Filter, sub.QoS, code})
			if sub.QoS == 2 && s.version == packet.V311 {
				s.state.grantedLess()
			}
		}
	}
	return slices.Delete(waiting, at, at+1), nil
}

// answers is what SUBACKs said, besides that all is as it was asked for.
type answers struct {
	refused []refused
	lowered []lowered
}

// refused is a filter that the server refuses.
type refused struct {
	filter string
	code   byte
	reason string // Reason String (MQTT 5 section 3.9.2.1.2)
}

// lowered is a filter that the server granted at a lower QoS.
type lowered struct {
	filter         string
	asked, granted byte
}

// error explains why a server refuses filters (section 3.9.3).
func (a *answers) error() *Error {
	if len(a.refused) == 1 {
		r := a.refused[0]
		return newError(v1alpha1.ReasonSubscriptionRefused, fmt.Sprintf(
			"the server refuses the subscription to %q%s; allow the bridge's user to read it, or change the rule's filter", r.filter, r.why()), nil)
	}
	each := make([]string, len(a.refused))
	for i, r := range a.refused {
		each[i] = fmt.Sprintf("%q%s", r.filter, r.why())
	}
	return newError(v1alpha1.ReasonSubscriptionRefused, fmt.Sprintf(
		"the server refuses %d subscriptions; allow the bridge's user to read them, or change the rules' filters: %s", len(each), strings.Join(each, "; ")), nil)
}

func (r *refused) why() string {
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
		why = ": its quota is exceeded"
	case 0x9E:
		why = ": it has no shared subscriptions"
	case 0xA1:
		why = ": it has no subscription identifiers"
	case 0xA2:
		why = ": it has no wildcard subscriptions"
	default:
		why = fmt.Sprintf(": reason code 0x%02x", r.code)
	}
	return why + quoted(r.reason)
}

// subscribingError adds to an error the filters that were not granted when it
// happened: servers that do not want a filter, or not so many, may close the
// connection instead of answering.
func subscribingError(waiting []*packet.Subscribe, answered *answers, err *Error) *Error {
	if len(answered.refused) > 0 { // it says more
		return answered.error()
	}
	remedy := ""
	switch err.Reason {
	case v1alpha1.ReasonConnectionClosed, v1alpha1.ReasonDisconnected, v1alpha1.ReasonAuthenticationFailed, v1alpha1.ReasonQuotaExceeded:
		remedy = "; check that the server allows the bridge's user to read these filters, and how many subscriptions it allows"
	}
	return newError(err.Reason, "while subscribing to "+filters(waiting)+": "+err.Message+remedy, err)
}

// filters names the first few filters of packets.
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
