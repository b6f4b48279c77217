// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package report

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/session"
)

func newState(t *testing.T) *State {
	t.Helper()
	b := (&v1alpha1.MQTTBridge{ObjectMeta: metav1.ObjectMeta{Name: "b", Namespace: "plant"}, Spec: v1alpha1.MQTTBridgeSpec{
		Local:  v1alpha1.Side{Primary: v1alpha1.Server{URL: "mqtt://l"}},
		Remote: v1alpha1.Side{Primary: v1alpha1.Server{URL: "mqtt://p"}, Backups: []v1alpha1.Server{{URL: "mqtt://b"}}},
	}}).WithDefaults()
	return NewState(b, "pod-1", NewMetrics())
}

// news reports whether the state has changed since it was last asked.
func news(st *State) bool {
	select {
	case <-st.Changed():
		return true
	default:
		return false
	}
}

var (
	refused = &session.Error{Reason: v1alpha1.ReasonConnectionRefused, Message: "refused"}
	closed  = &session.Error{Reason: v1alpha1.ReasonConnectionClosed, Message: "closed"}
)

func TestStatusFollowsASwitch(t *testing.T) {
	st := newState(t)
	start := time.Now()
	st.Remote.Connected(0, start)
	st.Remote.Lost(0, closed, start.Add(time.Second))
	if st.Status().Remote.Active != nil {
		t.Error("a server is active after it was lost")
	}
	st.Remote.Connected(1, start.Add(time.Second+20*time.Millisecond))

	got := st.Status().Remote
	if a := got.Active; a == nil || a.Name != "backup-1" || a.Role != "Backup-1" || a.URL != "mqtt://b" {
		t.Errorf("active: %+v", a)
	}
	if f := got.LastFailover; f == nil || f.From != "primary" || f.To != "backup-1" || f.Reason != closed.Reason || *f.DurationMilliseconds != 20 || *got.Failovers != 1 {
		t.Errorf("failover: %+v", f)
	}
	if e := got.Endpoints[0]; e.State != v1alpha1.EndpointFailed || e.LastError.Message != "closed" {
		t.Errorf("the primary: %+v", e)
	}
	if e := got.Endpoints[1]; e.State != v1alpha1.EndpointActive || e.LastError != nil {
		t.Errorf("the backup: %+v", e)
	}
}

func TestComingBackToTheSameServerIsNoFailover(t *testing.T) {
	st := newState(t)
	now := time.Now()
	st.Remote.Connected(0, now)
	st.Remote.Lost(0, closed, now)
	st.Remote.Connected(0, now)
	if got := st.Status().Remote; got.Failovers != nil || got.LastFailover != nil {
		t.Errorf("%+v", got)
	}
}

func TestTheSameFailureAgainIsNoNews(t *testing.T) {
	st := newState(t)
	if !news(st) {
		t.Error("that there is a runner is no news")
	}
	st.Remote.Failed(0, refused, time.Now())
	if !news(st) {
		t.Error("the first failure is no news")
	}
	before := st.Status().Remote.Endpoints[0]
	st.Remote.Failed(0, refused, time.Now().Add(time.Hour))
	if news(st) {
		t.Error("the same failure is news")
	}
	if after := st.Status().Remote.Endpoints[0]; !after.Since.Equal(&before.Since) {
		t.Error("since has changed")
	}
	st.Remote.Failed(0, closed, time.Now())
	if !news(st) {
		t.Error("another failure is no news")
	}
}

func TestLongMessagesAreCutWithinTheSchemasBound(t *testing.T) {
	st := newState(t)
	st.Remote.Failed(0, &session.Error{Reason: "X", Message: strings.Repeat("é", 600)}, time.Now())
	if m := st.Status().Remote.Endpoints[0].LastError.Message; len(m) > maxMessage || !strings.HasSuffix(m, "é...") {
		t.Errorf("%d bytes, ending with %q", len(m), m[len(m)-5:])
	}
}

// apiServer answers reports and notes when they came. It stands in for the
// network only: what a real API server makes of a report is tested end to end.
type apiServer struct {
	at     []time.Time
	bodies []map[string]any
	code   atomic.Int32
}

func (a *apiServer) RoundTrip(r *http.Request) (*http.Response, error) {
	var body map[string]any
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		return nil, err
	}
	a.at, a.bodies = append(a.at, time.Now()), append(a.bodies, body)
	return &http.Response{StatusCode: int(a.code.Load()), Status: http.StatusText(int(a.code.Load())), Body: io.NopCloser(strings.NewReader("{}"))}, nil
}

func TestReportsGoOutAtOnceAndThenAtMostOnceASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &apiServer{}
		api.code.Store(http.StatusOK)
		st := newState(t)
		k := &Kubernetes{client: &http.Client{Transport: api}, url: "https://api/status", name: "b", ns: "plant", log: slog.New(slog.DiscardHandler)}
		ctx, stop := context.WithCancel(t.Context())
		go k.Run(ctx, st)
		start := time.Now()
		synctest.Wait()
		if len(api.at) != 1 || !api.at[0].Equal(start) {
			t.Fatalf("the first report came at %v", api.at)
		}
		for range 100 { // a server that flaps for ten seconds
			time.Sleep(100 * time.Millisecond)
			st.Remote.Connected(0, time.Now())
			st.Remote.Lost(0, closed, time.Now())
		}
		time.Sleep(time.Minute) // and then nothing
		synctest.Wait()
		if n := len(api.at); n < 10 || n > 12 { // at 0, 1, ... 10 s, and what changed at 10 s at 11 s
			t.Errorf("%d reports, want one a second while something changed, and none after", n)
		}
		for i := 1; i < len(api.at); i++ {
			if gap := api.at[i].Sub(api.at[i-1]); gap < time.Second {
				t.Errorf("reports %v apart", gap)
			}
		}
		stop()
		synctest.Wait()
	})
}

func TestAReportThatFailedIsMadeAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &apiServer{}
		api.code.Store(http.StatusServiceUnavailable)
		st := newState(t)
		k := &Kubernetes{client: &http.Client{Transport: api}, url: "https://api/status", name: "b", ns: "plant", log: slog.New(slog.DiscardHandler)}
		ctx, stop := context.WithCancel(t.Context())
		go k.Run(ctx, st)
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := len(api.at); n < 3 || n > 10 {
			t.Errorf("%d attempts in a minute", n)
		}
		api.code.Store(http.StatusOK)
		time.Sleep(retryMax)
		synctest.Wait()
		before := len(api.at)
		time.Sleep(time.Hour)
		synctest.Wait()
		if len(api.at) != before {
			t.Error("it is reported again although nothing changed")
		}
		stop()
		synctest.Wait()
	})
}

func TestReadyUntilStopping(t *testing.T) {
	stopping := make(chan struct{})
	h := Handler(newState(t), NewMetrics(), stopping)
	get := func(path string) int {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		return w.Code
	}
	for _, path := range []string{"/livez", "/readyz", "/status", "/metrics"} {
		if code := get(path); code != http.StatusOK {
			t.Errorf("%s: %d", path, code)
		}
	}
	close(stopping)
	if code := get("/readyz"); code != http.StatusServiceUnavailable {
		t.Errorf("/readyz while stopping: %d", code)
	}
	if code := get("/livez"); code != http.StatusOK {
		t.Errorf("/livez while stopping: %d", code)
	}
}
