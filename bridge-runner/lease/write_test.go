// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package lease

import (
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

func TestAcquire_TwoMembersRace_ExactlyOneWinsEachTime(t *testing.T) {
	name := newLease(t)
	members := []*Client{newClient(t, name, "a", nil), newClient(t, name, "b", nil)}
	wins := map[string]int{}
	for round := range 200 {
		expected := read(t, members[0])
		var results [2]Record
		var errs [2]error
		var both sync.WaitGroup
		for i, m := range members {
			both.Go(func() { results[i], errs[i] = acquire(t, m, expected) })
		}
		both.Wait()
		winner := 0
		if errs[0] != nil {
			winner = 1
		}
		loser := 1 - winner
		identity := members[winner].cfg.Identity
		if errs[winner] != nil || !errors.Is(errs[loser], ErrConflict) {
			t.Fatalf("round %d: a: %v; b: %v; want one success and one conflict", round, errs[0], errs[1])
		}
		for i, r := range results {
			if r.Holder != identity || r.Term != int64(round+1) {
				t.Fatalf("round %d: member %d received the holder %q in term %d", round, i, r.Holder, r.Term)
			}
		}
		wins[identity]++
	}
	t.Logf("wins: %v", wins)
}

func TestClient_Life_AcquireRenewReleaseAndAcquireByAnother(t *testing.T) {
	name := newLease(t)
	a, b := newClient(t, name, "a", nil), newClient(t, name, "b", nil)
	empty := read(t, a)
	if empty.Holder != "" || empty.Term != 0 || len(empty.Members) > 0 {
		t.Errorf("a new Lease: %+v", empty)
	}
	before := time.Now()
	held := must(acquire(t, a, empty))(t)
	if held.Holder != "a" || held.Term != 1 || held.Duration != 15*time.Second {
		t.Errorf("acquired: %+v", held)
	}
	if held.Since.Before(before.Add(-time.Millisecond)) || held.Since.After(time.Now()) {
		t.Errorf("the Lease is valid since %s, acquired after %s", held.Since, before)
	}
	renewed := must(a.Renew(t.Context(), held, nil))(t)
	if !renewed.Since.After(held.Since) || renewed.Term != 1 || !renewed.Expires().After(held.Expires()) {
		t.Errorf("renewed: %+v after %+v", renewed, held)
	}
	if _, err := b.Renew(t.Context(), read(t, b), nil); !errors.Is(err, ErrConflict) {
		t.Errorf("b renews a's Lease: %v", err)
	}
	if _, err := acquire(t, b, held); !errors.Is(err, ErrConflict) {
		t.Errorf("b acquires the Lease that a has renewed since: %v", err)
	}
	released := must(a.Release(t.Context(), renewed))(t)
	if released.Holder != "" || released.Term != 1 {
		t.Errorf("released: %+v", released)
	}
	taken := must(acquire(t, b, released))(t)
	if taken.Holder != "b" || taken.Term != 2 {
		t.Errorf("acquired by b: %+v", taken)
	}
	found, err := a.Renew(t.Context(), renewed, nil)
	if !errors.Is(err, ErrConflict) || found.Holder != "b" {
		t.Errorf("a renews b's Lease: %+v, %v", found, err)
	}
	if _, err := a.Release(t.Context(), renewed); !errors.Is(err, ErrConflict) {
		t.Errorf("a releases b's Lease: %v", err)
	}
}

func TestWrite_OtherFields_ArePreserved(t *testing.T) {
	name := newLease(t)
	l := stored(t, name)
	before := client.MergeFrom(l.DeepCopy())
	l.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "ConfigMap", Name: "owner", UID: "1"}}
	if err := server.Client.Patch(t.Context(), l, before); err != nil {
		t.Fatal(err)
	}
	a := newClient(t, name, "a", nil)
	held := must(acquire(t, a, read(t, a)))(t)
	must(a.Join(t.Context(), member(1)))(t)
	must(a.Renew(t.Context(), held, nil))(t)
	got := stored(t, name)
	if !reflect.DeepEqual(got.Labels, l.Labels) || got.Annotations["example.com/note"] != "kept" || !reflect.DeepEqual(got.OwnerReferences, l.OwnerReferences) {
		t.Errorf("the metadata: %+v", got.ObjectMeta)
	}
	if len(got.ManagedFields) == 0 || *got.Spec.HolderIdentity != "a" || got.Spec.AcquireTime == nil || got.Spec.RenewTime.Before(got.Spec.AcquireTime) {
		t.Errorf("the Lease: %+v", got)
	}
}

// The standby judges by this duration when the Lease has expired.
func TestRenew_DurationChangedByAnotherClient_RestoresIt(t *testing.T) {
	name := newLease(t)
	a := newClient(t, name, "a", nil)
	held := must(acquire(t, a, read(t, a)))(t)
	for _, seconds := range []*int32{ptr.To[int32](3600), nil} {
		l := stored(t, name)
		l.Spec.LeaseDurationSeconds = seconds
		if err := server.Client.Update(t.Context(), l); err != nil {
			t.Fatal(err)
		}
		if held = must(a.Renew(t.Context(), held, nil))(t); held.Duration != 15*time.Second {
			t.Errorf("after %d seconds, the duration is %s", ptr.Deref(seconds, 0), held.Duration)
		}
	}
}

func TestJoin_WhileTheHolderRenews_DisturbsNoWrite(t *testing.T) {
	name := newLease(t)
	a := newClient(t, name, "a", nil)
	held := must(acquire(t, a, read(t, a)))(t)
	var all sync.WaitGroup
	for i := range 3 {
		joining := newClient(t, name, fmt.Sprintf("member-%d", i), nil)
		all.Go(func() {
			for range 5 {
				if _, err := joining.Join(t.Context(), member(i)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range 10 {
		var err error
		if held, err = a.Renew(t.Context(), held, nil); err != nil {
			t.Errorf("the holder cannot renew: %v", err)
		}
	}
	all.Wait()
	if got, want := read(t, a).Members, []Member{member(0), member(1), member(2)}; !reflect.DeepEqual(got, want) {
		t.Errorf("members %+v, want %+v", got, want)
	}
}

func TestAcquire_OnlyMembersChanged_Succeeds(t *testing.T) {
	name := newLease(t)
	a := newClient(t, name, "a", nil)
	expected := read(t, a)
	must(newClient(t, name, "member-1", nil).Join(t.Context(), member(1)))(t)
	if held := must(acquire(t, a, expected))(t); held.Term != 1 || len(held.Members) != 1 {
		t.Errorf("acquired: %+v", held)
	}
}

func TestRenew_ManyMembers_KeepsTheLatestAndTheHolder(t *testing.T) {
	name := newLease(t)
	oldest := newClient(t, name, "member-0", nil)
	held := must(acquire(t, oldest, read(t, oldest)))(t)
	for i := range 12 {
		must(oldest.Join(t.Context(), member(i)))(t)
	}
	l := stored(t, name)
	before := client.MergeFrom(l.DeepCopy())
	l.Annotations[memberPrefix+"x"] = "no member"
	l.Annotations[memberPrefix+"y"] = `{"identity":"another key"}`
	if err := server.Client.Patch(t.Context(), l, before); err != nil {
		t.Fatal(err)
	}
	got := must(oldest.Renew(t.Context(), held, nil))(t)
	want := []Member{member(0)}
	for i := 5; i < 12; i++ {
		want = append(want, member(i))
	}
	if !reflect.DeepEqual(got.Members, want) {
		t.Errorf("members %+v, want %+v", got.Members, want)
	}
	count := 0
	for key := range stored(t, name).Annotations {
		if strings.HasPrefix(key, memberPrefix) {
			count++
		}
	}
	if count != maxMembers {
		t.Errorf("%d annotations, want %d", count, maxMembers)
	}
}

func TestWrite_AnswerLost_RepeatedWriteSucceeds(t *testing.T) {
	name := newLease(t)
	broken := &losing{}
	a := newClient(t, name, "a", func(c *rest.Config) {
		c.Wrap(func(next http.RoundTripper) http.RoundTripper {
			broken.next = next
			return broken
		})
	})
	var latest Record
	for _, write := range []func(Record) (Record, error){
		func(Record) (Record, error) { return a.Get(t.Context()) },
		func(r Record) (Record, error) { return acquire(t, a, r) },
		func(r Record) (Record, error) { return a.Renew(t.Context(), r, nil) },
		func(r Record) (Record, error) { return a.Release(t.Context(), r) },
	} {
		broken.mu.Lock()
		broken.lose = 1
		broken.mu.Unlock()
		next, err := write(latest)
		if errors.Is(err, ErrUnreachable) {
			next, err = write(latest)
		}
		if err != nil {
			t.Fatal(err)
		}
		latest = next
	}
	if latest.Term != 1 || latest.Holder != "" {
		t.Errorf("after all: %+v", latest)
	}
}

func TestAcquire_LaterTerm_IsWritten(t *testing.T) {
	name := newLease(t)
	a := newClient(t, name, "a", nil)
	held := must(a.Acquire(t.Context(), read(t, a), 7, nil))(t)
	if held.Term != 7 || held.UID != string(stored(t, name).UID) {
		t.Errorf("acquired: %+v", held)
	}
	if latest, ok := a.Latest(); !ok || latest.Version() != held.Version() {
		t.Errorf("the latest record is %+v", latest)
	}
}

func TestRenew_MembersThatAreGone_AreRemoved(t *testing.T) {
	name := newLease(t)
	a := newClient(t, name, "member-0", nil)
	held := must(acquire(t, a, read(t, a)))(t)
	for i := range 4 {
		must(a.Join(t.Context(), member(i)))(t)
	}
	gone := map[string]bool{"member-0": true, "member-2": true, "member-9": true} // the holder is not gone
	held = must(a.Renew(t.Context(), held, gone))(t)
	if want := []Member{member(0), member(1), member(3)}; !reflect.DeepEqual(held.Members, want) {
		t.Errorf("members %+v, want %+v", held.Members, want)
	}
}

func TestJoin_AnotherProcessOfThePod_ReplacesTheEarlierOne(t *testing.T) {
	name := newLease(t)
	a := newClient(t, name, "a", nil)
	next := member(2)
	next.Pod = member(0).Pod
	for _, m := range []Member{member(0), member(1), next} {
		must(a.Join(t.Context(), m))(t)
	}
	if got, want := read(t, a).Members, []Member{member(1), next}; !reflect.DeepEqual(got, want) {
		t.Errorf("members %+v, want %+v", got, want)
	}
}
