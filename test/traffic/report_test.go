// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package traffic

import (
	"testing"
	"time"
)

// ledger returns a ledger in which messages 1 to n are acknowledged.
func ledger(n uint64) Ledger {
	l := Ledger{Sent: n, Acknowledged: map[uint64]time.Time{}, Resent: map[uint64]int{}}
	for seq := range n {
		l.Acknowledged[seq+1] = time.Unix(0, 0)
	}
	return l
}

// at returns arrivals from one server, 1 ms apart.
func at(server string, start time.Time, seqs ...uint64) []Arrival {
	var out []Arrival
	for i, seq := range seqs {
		out = append(out, Arrival{Message: Message{Seq: seq}, Server: server, Time: start.Add(time.Duration(i) * time.Millisecond)})
	}
	return out
}

func TestCompare_Arrivals_ReportsLossesDuplicatesAndOrder(t *testing.T) {
	start := time.Unix(1000, 0)
	later := start.Add(time.Second)
	repeated := at("a", later, 2)
	repeated[0].Dup = true
	resent := ledger(3)
	resent.Resent[2] = 1
	unacknowledged := ledger(3)
	delete(unacknowledged.Acknowledged, 3)

	for _, tc := range []struct {
		name                               string
		ledger                             Ledger
		arrivals                           []Arrival
		lost, dups, repeats, pub, disorder int
	}{
		{name: "each message once and in order is no fault", ledger: ledger(3), arrivals: at("a", start, 1, 2, 3)},
		{name: "an acknowledged message that did not arrive is lost", ledger: ledger(3), arrivals: at("a", start, 1, 3), lost: 1},
		{name: "an unacknowledged message may be missing", ledger: unacknowledged, arrivals: at("a", start, 1, 2)},
		{name: "a second arrival at one server is a duplicate", ledger: ledger(3), arrivals: at("a", start, 1, 2, 2, 3), dups: 1},
		{
			name: "a window resent in order to the next server counts as duplicates, not as disorder", ledger: ledger(5),
			arrivals: append(at("a", start, 1, 2, 3), at("b", later, 2, 3, 4, 5)...), dups: 2,
		},
		{
			name: "a window resent out of order counts as disorder", ledger: ledger(5),
			arrivals: append(at("a", start, 1, 2, 3), at("b", later, 4, 2, 3, 5)...), dups: 2, disorder: 2,
		},
		{
			name: "a window resent in order to the same server counts as duplicates", ledger: ledger(5),
			arrivals: at("a", start, 1, 2, 3, 2, 3, 4, 5), dups: 2,
		},
		{name: "new messages that overtake others count as disorder", ledger: ledger(4), arrivals: at("a", start, 1, 3, 2, 4), disorder: 1},
		{
			name: "a message that the server repeats is not a duplicate of the bridge", ledger: ledger(3),
			arrivals: append(at("a", start, 1, 2, 3), repeated...), repeats: 1,
		},
		{
			name: "a message that the publisher sent twice may arrive twice, but not three times", ledger: resent,
			arrivals: at("a", start, 1, 2, 2, 2, 3), pub: 1, dups: 1,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := Compare(tc.ledger, tc.arrivals)
			got := [5]int{len(r.Lost), r.Duplicates, r.Repeats, r.PublisherRepeats, len(r.Disorder)}
			want := [5]int{tc.lost, tc.dups, tc.repeats, tc.pub, tc.disorder}
			if got != want {
				t.Errorf("lost, duplicates, repeats, publisher's repeats, disorder = %v, want %v\n%s", got, want, r)
			}
		})
	}
}

func TestCompare_DuplicateInGap_DoesNotEndLongestGap(t *testing.T) {
	start := time.Unix(1000, 0)
	arrivals := append(at("a", start, 1, 2), at("a", start.Add(100*time.Millisecond), 2)...)
	arrivals = append(arrivals, at("b", start.Add(201*time.Millisecond), 3)...)
	r := Compare(ledger(3), arrivals)
	if r.LongestGap != 200*time.Millisecond {
		t.Errorf("longest gap = %s, want 200ms: a duplicate does not end it", r.LongestGap)
	}
}

func TestMessage_EncodedAndDecoded_IsEqual(t *testing.T) {
	want := Message{Stream: "x", Seq: 42, Sent: time.Unix(3, 7)}
	payload := want.Encode(128)
	got, ok := Decode(payload)
	if !ok || got.Seq != want.Seq || !got.Sent.Equal(want.Sent) || got.Stream != want.Stream {
		t.Errorf("Decode(Encode(%v)) = %v, %v", want, got, ok)
	}
	if len(payload) != 128 {
		t.Errorf("payload has %d bytes, want 128", len(payload))
	}
	if _, ok := Decode([]byte("something else")); ok {
		t.Error("a foreign payload was decoded as a message")
	}
}
