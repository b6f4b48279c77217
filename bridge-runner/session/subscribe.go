// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
)

// SetSubscriptions makes the subscriptions of the session on the server equal to wanted, which
// has each filter at most once. First it subscribes to the filters that are new or have changed
// (section 3.8), then it ends the subscriptions to the other filters that the session has (section
// 3.10). So no message is lost if a new filter covers an old one. If a filter changes only in the
// prefix $exclusive/, it ends the old subscription first: for EMQX, both are the same subscription,
// and the end of the old one would end the new one. It sends nothing for filters that
// the server has as wanted, because the server would send their retained messages again. A
// subscription that the server has granted at a lower QoS is requested again once per connection.
//
// Messages may flow in both directions meanwhile. The server may still send messages that it has
// queued for a subscription that has ended (section 3.10.4). SetSubscriptions must not be called
// again before it has returned.
//
// It writes all SUBSCRIBE packets at once, and the server may answer them in any order, so that
// they take one round trip; then all UNSUBSCRIBE packets. Messages may arrive before the answers,
// and on a slow link they can take long. So it fails only if for Config.ConnectTimeout the server
// sends nothing except answers to pings, and accepts no data; or if for this time after the answer
// to a ping that was sent behind the packets, the server has not answered them.
//
// These errors do not end the session; after others, the caller closes it:
//   - SubscribeTooLarge: no packet was sent, and no subscription has changed.
//   - SubscriptionsRefused: no subscription was ended, except of filters that changed only in the
//     prefix $exclusive/. The error names the refused filters.
//   - UnsubscriptionsRefused: all wanted subscriptions are made. The error names the filters whose
//     subscriptions the server does not end. The bridge requests that again on the next connection.
//
// The State records each answer of the server. A filter whose SUBSCRIBE or UNSUBSCRIBE has no
// answer is requested again by the next call, on this or on a later connection.
func (s *Session) SetSubscriptions(ctx context.Context, wanted []Subscription) error {
	wanted = s.supportedSubscriptions(wanted)
	s.state.mu.Lock()
	replaced := s.state.subscriptions.replaced(wanted)
	missing := s.state.subscriptions.missing(wanted, s.version)
	s.state.mu.Unlock()
	requests, tooLarge := s.makeRequests(packet.SUBSCRIBE, missing)
	if len(tooLarge) > 0 {
		return &Error{Kind: SubscribeTooLarge, Filters: tooLarge[:1], Limit: s.server.MaximumPacketSize}
	}
	notReplaced := s.unsubscribe(ctx, replaced)
	if notReplaced != nil && !isKind(notReplaced, UnsubscriptionsRefused) {
		return notReplaced
	}
	if err := s.subscribe(ctx, requests); err != nil {
		return err
	}
	s.state.mu.Lock()
	unwanted := s.state.subscriptions.unwanted(wanted)
	s.state.mu.Unlock()
	return cmp.Or(s.unsubscribe(ctx, unwanted), notReplaced)
}

func isKind(err error, kind Kind) bool {
	var e *Error
	return errors.As(err, &e) && e.Kind == kind
}

// supportedSubscriptions returns the subscriptions without the options that the server does not
// support.
func (s *Session) supportedSubscriptions(wanted []Subscription) []Subscription {
	wanted = slices.Clone(wanted)
	for i := range wanted {
		if !s.IdentifiesSubscriptions() {
			wanted[i].ID = 0
		}
		if s.version == packet.V311 {
			wanted[i].RetainHandling = 0
		}
	}
	return wanted
}

// subscribe makes subscriptions.
func (s *Session) subscribe(ctx context.Context, requests []*request) error {
	refused, unanswered, err := s.sendAndWait(ctx, requests)
	switch {
	case len(refused) > 0: // it is more specific than the end of the session that may have followed
		return &Error{Kind: SubscriptionsRefused, Refused: refused}
	case err != nil:
		// A server that does not allow a filter, or not this number of filters, may close the
		// connection instead of answering.
		return &Error{Kind: SubscribingFailed, Err: err, Filters: unanswered}
	}
	return nil
}

// unsubscribe ends the subscriptions to filters.
func (s *Session) unsubscribe(ctx context.Context, unwanted []change) error {
	requests, tooLarge := s.makeRequests(packet.UNSUBSCRIBE, unwanted)
	refused, _, err := s.sendAndWait(ctx, requests)
	if err != nil {
		return err
	}
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	for _, filter := range tooLarge {
		s.state.subscriptions.refuseEnd(filter)
		refused = append(refused, RefusedFilter{Filter: filter, Code: packet.CodePacketTooLarge})
	}
	if len(refused) > 0 {
		return &Error{Kind: UnsubscriptionsRefused, Refused: refused}
	}
	return nil
}

// sendAndWait sends requests and waits until the server has answered all of them. It returns the
// refused filters. If it fails, it also returns the filters without an answer.
func (s *Session) sendAndWait(ctx context.Context, requests []*request) (refused []RefusedFilter, unanswered []string, err error) {
	for len(requests) > 0 && err == nil {
		w := s.sendRequests(requests)
		if len(w.requests) == 0 { // too many requests of earlier calls have no answer
			return refused, nil, &Error{Kind: w.timeout}
		}
		requests = requests[len(w.requests):]
		unanswered, err = s.awaitAnswers(ctx, w)
		refused = append(refused, w.refused...)
	}
	return refused, unanswered, err
}

// awaitAnswers waits until the server has answered the requests. If that fails, it returns the
// filters without an answer.
func (s *Session) awaitAnswers(ctx context.Context, w *requestWait) (unanswered []string, err error) {
	silence := newSilentWait(s)
	defer silence.stop()
	for err == nil {
		select {
		case <-w.answered:
			return nil, nil
		case <-s.closedCh:
			if err = s.err; err == nil {
				err = &Error{Kind: SessionClosed}
			}
		case <-ctx.Done():
			err = &Error{Kind: SubscribeCanceled, Err: ctx.Err()}
		case <-silence.tick():
			if silence.expired() {
				err = &Error{Kind: w.timeout}
			}
		}
	}
	if unanswered = s.abandon(w); len(unanswered) == 0 { // the last answer arrived at the same time
		return nil, nil
	}
	return unanswered, err
}
