// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package page

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestRates_SeveralBrowsers_HaveTheRateOfTheLastSeconds(t *testing.T) {
	r := newRates()
	at := noon
	var messages uint64
	for i := range 40 { // two browsers: a request after 100 ms, and then after 1,900 ms
		step := 100 * time.Millisecond
		if i%2 == 0 {
			step = 1900 * time.Millisecond
		}
		at = at.Add(step)
		messages += uint64(step / (10 * time.Millisecond)) // 100 per second
		got := r.of("b", reading{at, messages, 10 * messages})
		if i < 2 {
			continue // no time has passed since the first request, or too little
		}
		if !got.ok || got.messages < 99.9 || got.messages > 100.1 || got.bytes < 999 || got.bytes > 1001 {
			t.Fatalf("request %d: %+v", i, got)
		}
	}
}

// Two browsers ask at almost the same time, and the answer to the first request is made last.
func TestRates_RequestsOverlap_HaveTheRateUpToTheLatest(t *testing.T) {
	r := newRates()
	r.of("b", reading{noon, 1000, 10_000})
	at := func(after time.Duration) reading { // 100 messages per second
		n := uint64(after / (10 * time.Millisecond))
		return reading{noon.Add(after), 1000 + n, 10_000 + 10*n}
	}
	r.of("b", at(4*time.Second))
	atTheSameTime := at(4*time.Second - 20*time.Millisecond)
	atTheSameTime.at = noon.Add(4 * time.Second)
	for _, now := range []reading{at(4*time.Second - 20*time.Millisecond), atTheSameTime, at(2 * time.Second), at(6 * time.Second)} {
		got := r.of("b", now)
		if !got.ok || got.messages < 99.9 || got.messages > 100.1 || got.bytes < 999 || got.bytes > 1001 {
			t.Errorf("after %s: %+v", now.at.Sub(noon), got)
		}
	}
}

func TestRates_RestartOrOldCount_BeginAgain(t *testing.T) {
	for name, tt := range map[string]struct {
		after    time.Duration
		messages uint64
	}{
		"the process has started again": {2 * time.Second, 5},
		"the earlier count is too old":  {rateAge + time.Second, 1000},
	} {
		r := newRates()
		r.of("b", reading{at: noon, messages: 100})
		if got := r.of("b", reading{at: noon.Add(tt.after), messages: tt.messages}); got.ok {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestRates_RemovedBridge_IsForgotten(t *testing.T) {
	r := newRates()
	r.of("b", reading{at: noon})
	r.forget(noon.Add(rateAge))
	if len(r.counts) != 1 {
		t.Error("the counts of the last seconds are missing")
	}
	r.forget(noon.Add(rateAge + time.Second))
	if len(r.counts) != 0 {
		t.Errorf("%d counts are kept", len(r.counts))
	}
}

func TestFormat_Numbers_HaveUnits(t *testing.T) {
	ms := func(n int64) *int64 { return &n }
	for _, c := range []struct{ got, want string }{
		{number(uint64(0)), "0"},
		{number(uint64(999)), "999"},
		{number(uint64(1000)), "1,000"},
		{number(int64(-1234567)), "-1,234,567"},
		{size(0), "0 B"},
		{size(1023), "1023 B"},
		{size(1536), "1.5 KiB"},
		{size(200 << 20), "200 MiB"},
		{age(-time.Second), "0 s"},
		{age(61 * time.Second), "1 min"},
		{age(47 * time.Hour), "47 h"},
		{age(72 * time.Hour), "3 days"},
		{milliseconds(nil), none},
		{gapOf(ms(0)), "< 1 ms"},
		{gapOf(ms(1)), "1 ms"},
		{gapOf(nil), none},
		{milliseconds(ms(9999)), "9999 ms"},
		{milliseconds(ms(12_340)), "12.3 s"},
		{rate{}.perSecond(), none},
		{rate{ok: true}.perSecond(), "0"},
		{rate{ok: true, messages: 0.25}.perSecond(), "0.2"},
		{rate{ok: true, messages: 1234.6}.perSecond(), "1,235"},
	} {
		if c.got != c.want {
			t.Errorf("%q, want %q", c.got, c.want)
		}
	}
}

// A request that reads the counts first and answers last must not make them look like the counts of a process that
// has started again.
func TestPage_RequestsOverlap_KeepTheRate(t *testing.T) {
	var forwarded, requests atomic.Uint64
	var at atomic.Int64 // nanoseconds after noon
	begun, resume := make(chan struct{}), make(chan struct{})
	forwarded.Store(1000)
	h := New(&Source{One: func() Bridge {
		b := healthy("b")
		b.LocalToRemote.Forwarded = forwarded.Load()
		if requests.Add(1) == 2 {
			close(begun)
			<-resume
		}
		return b
	}})
	h.now = func() time.Time { return noon.Add(time.Duration(at.Load())) }
	request := func() string {
		_, body := getFrom(t, h, http.MethodGet, "/") //nolint:bodyclose // getFrom closes it
		return body
	}
	request()
	at.Store(int64(2 * time.Second))
	forwarded.Store(1200)
	done := make(chan struct{}, 2)
	go func() { request(); done <- struct{}{} }()
	<-begun
	forwarded.Store(1400)
	go func() { at.Add(int64(2 * time.Second)); request(); done <- struct{}{} }()
	select { // the second request may wait for the first one
	case <-done:
		done <- struct{}{}
	case <-time.After(100 * time.Millisecond):
	}
	close(resume)
	<-done
	<-done
	at.Store(int64(4500 * time.Millisecond))
	forwarded.Store(1450)
	if body := request(); !strings.Contains(body, `data-column="Messages/s">100<`) {
		t.Errorf("the page does not show 100 messages per second: %s", body)
	}
}
