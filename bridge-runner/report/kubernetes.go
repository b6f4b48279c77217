// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package report

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"time"

	"golang.org/x/time/rate"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/kubeapi"
)

const (
	// reportInterval is the shortest time between two reports when the state changes
	// often; one report contains all changes within it. After a time without changes the
	// first reportBurst reports are sent at once: a failover has two, for the loss of a
	// server and for the connection to the next one.
	reportInterval = time.Second
	reportBurst    = 2
	// reportTimeout is the longest time for one request.
	reportTimeout = 10 * time.Second
	// checkInterval is the time between two checks whether the API server still has the
	// latest report. It varies by checkJitter, so that many runners do not check at once.
	checkInterval = 5 * time.Minute
	checkJitter   = 0.2
	// lastReportTimeout is the longest time for the report of a runner that stops. It is
	// well below the rest of the pod's grace period.
	lastReportTimeout = 3 * time.Second
	// maxAnswerBytes is the largest answer of the API server that is read, in bytes.
	maxAnswerBytes = 4 << 20
	// mergePatch is the content type of a patch that merges objects (RFC 7386).
	mergePatch = "application/merge-patch+json"
	// retryMax is the longest pause between two attempts if the API server does not answer
	// or refuses the report.
	retryMax = 30 * time.Second
)

// Kubernetes reports the state of a runner in the status of its MQTTBridge, by server-side
// apply. It reports the sides together with the condition Ready, which follows from them, so
// the two never contradict each other.
//
// A report can be lost after the API server has accepted it: the last report of an earlier
// pod can replace it, or a client can change or clear the status. The reporter therefore asks
// at intervals for the status and reports again if its report is not there. It does not simply
// repeat the report, because this would replace a Ready condition that the operator has
// derived from more than the report, such as the loss of the node.
type Kubernetes struct {
	client *http.Client
	url    string
	name   string
	ns     string
	log    *slog.Logger

	// LaterTerm is called with the term of another runner in the status, if the API server refuses a report
	// of this runner because its term is lower. It must not wait. It is nil without a group.
	LaterTerm func(term int64)

	// sent is the latest report that the API server has accepted. It is nil before the first
	// one, and after the report was lost.
	sent *v1alpha1.MQTTBridgeStatus
	// stored is the runner's part of the status after the latest report. It is nil if the API
	// server's answer cannot be decoded.
	stored *v1alpha1.MQTTBridgeStatus
	// clean is true if the status has no fields of other clients in the runner's part.
	clean bool
	// uid is the UID of the bridge that has the first report, and empty before it. If the bridge is
	// deleted and created again, the API server refuses further reports: this runner runs the
	// deleted bridge.
	uid string
}

// NewKubernetes returns a reporter for a bridge in a cluster.
func NewKubernetes(cluster *rest.Config, bridge *v1alpha1.MQTTBridge, log *slog.Logger) (*Kubernetes, error) {
	client, err := rest.HTTPClientFor(cluster)
	if err != nil {
		return nil, fmt.Errorf("connecting to the API server: %w", err)
	}
	path, err := url.JoinPath(cluster.Host, "apis", v1alpha1.GroupVersion.Group, v1alpha1.GroupVersion.Version,
		"namespaces", bridge.Namespace, "mqttbridges", bridge.Name, "status")
	if err != nil {
		return nil, fmt.Errorf("making the URL of the API server: %w", err)
	}
	return &Kubernetes{
		client: client,
		url:    path,
		name:   bridge.Name,
		ns:     bridge.Namespace,
		log:    log,
	}, nil
}

// Run reports each change until the context ends.
func (k *Kubernetes) Run(ctx context.Context, st *State) {
	limit := rate.NewLimiter(rate.Every(reportInterval), reportBurst)
	check := time.NewTimer(jitter(checkInterval))
	defer check.Stop()
	pause := reportInterval
	for {
		select {
		case <-st.Changed():
		case <-check.C:
			check.Reset(jitter(checkInterval))
			if !k.lost(ctx) {
				continue
			}
			k.sent, k.clean = nil, false
		case <-ctx.Done():
			return
		}
		if limit.Wait(ctx) != nil {
			return // the context has ended
		}
		status, reports := st.report()
		if !reports { // another runner does, and replaces the latest report
			k.sent, k.stored, k.clean = nil, nil, false
			continue
		}
		err := k.report(ctx, status, reportTimeout)
		switch {
		case err == nil:
			pause = reportInterval
		case ctx.Err() != nil:
			return
		default:
			k.log.Warn("the status of the bridge cannot be reported; the bridge continues to forward, and the report is repeated", "bridge", k.name, "namespace", k.ns, "error", err)
			k.reportLaterTerm(ctx, &status, err)
			st.signalChange() // the report is still to be made
			select {
			case <-time.After(pause):
			case <-ctx.Done():
				return
			}
			pause = min(2*pause, retryMax)
		}
	}
}

// Last reports the state of a runner that stops, once, unless another runner has taken over. Run must
// have ended.
func (k *Kubernetes) Last(st *State) {
	status, reports := st.lastReport()
	if !reports {
		return
	}
	if err := k.report(context.Background(), status, lastReportTimeout); err != nil {
		k.log.Warn("the end of the runner cannot be reported", "bridge", k.name, "namespace", k.ns, "error", err)
	}
}

// reportLaterTerm reads the status after a refused report. The Lease begins with the term 0 if it is created
// again, or has an earlier term after it was restored from a backup. Then no report would be accepted until
// the terms have passed the term in the status.
func (k *Kubernetes) reportLaterTerm(ctx context.Context, status *v1alpha1.MQTTBridgeStatus, refusal error) {
	var answer *kubeapi.StatusError
	own := status.Runners[0].Term
	if k.LaterTerm == nil || own == nil || !errors.As(refusal, &answer) || answer.Code != http.StatusUnprocessableEntity {
		return
	}
	stored, err := k.read(ctx)
	if err != nil {
		k.log.Debug("the status of the bridge cannot be read; this is repeated with the next report", "bridge", k.name, "namespace", k.ns, "error", err)
		return
	}
	if r := stored.ActiveRunner(); r != nil && r.Term != nil && *r.Term > *own {
		k.LaterTerm(*r.Term)
	}
}

func jitter(d time.Duration) time.Duration {
	return time.Duration((1 + checkJitter*(2*rand.Float64()-1)) * float64(d)) //nolint:gosec // not a secret
}

// lost reports whether the API server no longer has the latest report.
func (k *Kubernetes) lost(ctx context.Context) bool {
	if k.sent == nil || k.stored == nil {
		return false // the report is still being repeated, or the API server's answer is unknown
	}
	got, err := k.read(ctx)
	if err != nil {
		k.log.Debug("the status of the bridge cannot be checked; the check is repeated", "bridge", k.name, "namespace", k.ns, "error", err)
		return false
	}
	return !equalJSON(got, k.stored)
}

// read returns the runner's part of the status. It asks by an empty patch, because a runner may patch its
// bridge and not read it. Such a patch changes nothing.
func (k *Kubernetes) read(ctx context.Context) (*v1alpha1.MQTTBridgeStatus, error) {
	answer, err := k.patch(ctx, "", mergePatch, []byte("{}"), reportTimeout)
	if err != nil {
		return nil, err
	}
	return reportIn(answer)
}

// reportIn returns the runner's part of the status in an answer of the API server.
func reportIn(answer []byte) (*v1alpha1.MQTTBridgeStatus, error) {
	var bridge struct {
		Status v1alpha1.MQTTBridgeStatus `json:"status"`
	}
	if err := json.Unmarshal(answer, &bridge); err != nil {
		return nil, fmt.Errorf("decoding the answer of the API server: %w", err)
	}
	out := &bridge.Status
	// The operator also sets the following fields.
	out.Conditions, out.ObservedGeneration = nil, 0
	out.Runners = slices.DeleteFunc(out.Runners, func(r v1alpha1.RunnerStatus) bool { return r.Role == "" })
	for i := range out.Runners {
		out.Runners[i].Image = ""
	}
	return out, nil
}

// uidIn returns the UID of the bridge in an answer of the API server, and an empty string if the answer
// has none.
func uidIn(answer []byte) string {
	var bridge struct {
		Metadata struct {
			UID string `json:"uid"`
		} `json:"metadata"`
	}
	if json.Unmarshal(answer, &bridge) != nil {
		return ""
	}
	return bridge.Metadata.UID
}

// equalJSON reports whether two values have the same encoding. It compares times as the API
// server stores them, in seconds.
func equalJSON(a, b any) bool {
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	return errX == nil && errY == nil && bytes.Equal(x, y)
}

// report applies the status, unless the API server has accepted the same report before.
func (k *Kubernetes) report(ctx context.Context, status v1alpha1.MQTTBridgeStatus, timeout time.Duration) error {
	if k.sent != nil {
		status.Runners[0].ReportTime = k.sent.Runners[0].ReportTime
		if equalJSON(status, *k.sent) {
			return nil
		}
	}
	status.Runners[0].ReportTime = metav1.Now()
	metadata := map[string]string{"name": k.name, "namespace": k.ns}
	if k.uid != "" {
		metadata["uid"] = k.uid
	}
	body, err := json.Marshal(map[string]any{
		"apiVersion": v1alpha1.GroupVersion.String(),
		"kind":       "MQTTBridge",
		"metadata":   metadata,
		"status":     status,
	})
	if err != nil {
		return fmt.Errorf("encoding the status: %w", err)
	}
	answer, err := k.patch(ctx, "?force=true&fieldManager="+v1alpha1.RunnerFieldManager, "application/apply-patch+yaml", body, timeout)
	if err != nil {
		return err
	}
	k.sent = &status
	if k.uid == "" {
		k.uid = uidIn(answer)
	}
	if k.stored, err = reportIn(answer); err == nil && !k.clean {
		err = k.removeSurplus(ctx, timeout)
	}
	if err != nil {
		k.log.Debug("the stored report cannot be checked", "bridge", k.name, "namespace", k.ns, "error", err)
	}
	return nil
}

// patch patches the status of the bridge and returns the API server's answer.
func (k *Kubernetes) patch(ctx context.Context, query, contentType string, body []byte, timeout time.Duration) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPatch, k.url+query, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("making the request: %w", err)
	}
	req.Header.Set("Content-Type", contentType)
	req.Header.Set("Accept", "application/json")
	resp, err := k.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("patching the status: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode/100 != 2 {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 1024))
		return nil, &kubeapi.StatusError{Code: resp.StatusCode, Status: resp.Status, Text: string(text)}
	}
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswerBytes)) // to its end, so that the connection is reused
	if err != nil {
		return nil, fmt.Errorf("reading the answer of the API server: %w", err)
	}
	return answer, nil
}
