// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Package kubeapi sends requests about one object to the API server.
//
// It uses client-go's transport and leaves the decoding of the object to the caller, because a
// typed client would double the runner's memory.
//
// It promises that [Object.Follow] delivers the object after each connection to the API server, and each
// later version. The first one may be older than an object that was received before. If the API server
// cannot be reached, it tries again at a bounded rate. A request ends with its context, also if the API
// server accepts it and never answers.
package kubeapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"time"

	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"
)

const (
	// maxErrorBytes is the length of the part of an error answer that is reported, in bytes.
	maxErrorBytes = 1024
	// maxObjectBytes is the largest answer that is read, in bytes. It is more than etcd stores.
	maxObjectBytes = 4 << 20
)

// Object is one object of the API server.
type Object struct {
	client *http.Client
	url    string
	watch  string
	retry  Retry
}

// Retry has the pauses between the watches of Follow.
type Retry struct {
	// First is the pause after a watch that lasted for at least Longest. The API server ends each
	// watch after about an hour.
	First time.Duration
	// Longest is the longest pause. The pause doubles after each watch that ended earlier.
	Longest time.Duration
	// Idle is the time without an event after which a watch is repeated. 0 means no limit: then a
	// lost connection is detected by the transport only.
	Idle time.Duration
}

// New returns the object with this name. path has the elements of the collection's path, such as
// api, v1, namespaces, default, configmaps.
func New(cluster *rest.Config, retry Retry, name string, path ...string) (*Object, error) {
	client, err := rest.HTTPClientFor(cluster)
	if err != nil {
		return nil, fmt.Errorf("connecting to the API server: %w", err)
	}
	collection, err := url.JoinPath(cluster.Host, path...)
	if err != nil {
		return nil, fmt.Errorf("making the URL of the API server: %w", err)
	}
	// Without a resourceVersion, the API server first sends the object. It is from its cache, which may be
	// behind the storage, and behind another API server that has answered before.
	query := url.Values{"watch": {"true"}, "fieldSelector": {"metadata.name=" + name}}
	return &Object{client: client, url: collection + "/" + name, watch: collection + "?" + query.Encode(), retry: retry}, nil
}

// StatusError is an answer of the API server that refuses a request.
type StatusError struct {
	// Code is the HTTP status code.
	Code int
	// Status is the code with its text.
	Status string
	// Text is the beginning of the answer.
	Text string
}

func (e *StatusError) Error() string {
	return fmt.Sprintf("the API server answers %s: %s", e.Status, e.Text)
}

// Do sends a request about the object, with a body in JSON unless it is nil, and returns the answer.
func (o *Object) Do(ctx context.Context, method string, body []byte) ([]byte, error) {
	resp, err := o.send(ctx, method, o.url, body)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxObjectBytes)) // to its end, so that the connection is reused
	if err != nil {
		return nil, fmt.Errorf("reading the answer of the API server: %w", err)
	}
	return answer, nil
}

// send sends a request and returns a successful response. The caller closes its body.
func (o *Object) send(ctx context.Context, method, address string, body []byte) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("making the request: %w", err)
	}
	req.Header.Set("Accept", "application/json")
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := o.client.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode/100 == 2 {
		return resp, nil
	}
	defer func() { _ = resp.Body.Close() }()
	text, _ := io.ReadAll(io.LimitReader(resp.Body, maxErrorBytes)) // the status is the error
	return nil, &StatusError{Code: resp.StatusCode, Status: resp.Status, Text: string(text)}
}

// Event is a version of the object.
type Event struct {
	// Type is Added, Modified or Deleted.
	Type watch.EventType `json:"type"`
	// Object is the object in JSON. If it was deleted, it is the last version.
	Object json.RawMessage `json:"object"`
	// First is true for the first event of a watch: the object in the cache of the API server.
	First bool `json:"-"`
}

// Follow calls received with the object at the beginning of each watch and after each change, until
// the context ends. It calls ended after each watch: err is nil for a regular end, and lasting is true
// if the watch lasted for at least [Retry.Longest].
func (o *Object) Follow(ctx context.Context, received func(Event), ended func(err error, lasting bool)) {
	pause := o.retry.First
	for ctx.Err() == nil {
		opened := time.Now()
		err := o.watchOnce(ctx, received)
		if ctx.Err() != nil {
			return
		}
		lasting := time.Since(opened) >= o.retry.Longest
		if lasting {
			pause = o.retry.First
		}
		ended(err, lasting)
		select {
		case <-time.After(jitter(pause)):
		case <-ctx.Done():
		}
		pause = min(2*pause, o.retry.Longest)
	}
}

// jitter returns a random duration from one to two times d, so that the runners do not all
// return to a restarted API server at the same time.
func jitter(d time.Duration) time.Duration {
	return d + rand.N(d) //nolint:gosec // spreads load, and protects nothing
}

// watchOnce makes one request and reads its events until the API server or the network ends it, or
// until it is idle for too long. A regular end and an idle watch are no errors.
func (o *Object) watchOnce(ctx context.Context, received func(Event)) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if o.retry.Idle > 0 {
		idle := time.AfterFunc(o.retry.Idle, func() { cancel(errIdle) })
		defer idle.Stop()
		inner := received
		received = func(e Event) {
			idle.Reset(o.retry.Idle)
			inner(e)
		}
	}
	err := o.events(ctx, received)
	if errors.Is(context.Cause(ctx), errIdle) {
		return nil
	}
	return err
}

// errIdle ends a watch without events.
var errIdle = errors.New("the watch is idle")

// events reads the events of one request.
func (o *Object) events(ctx context.Context, received func(Event)) error {
	resp, err := o.send(ctx, http.MethodGet, o.watch, nil)
	if err != nil {
		return fmt.Errorf("watching: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	decoder := json.NewDecoder(resp.Body)
	for first := true; ; first = false {
		e := Event{First: first}
		if err := decoder.Decode(&e); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("reading the events: %w", err)
		}
		switch e.Type {
		case watch.Added, watch.Modified, watch.Deleted:
			received(e)
		case watch.Error:
			var status struct{ Message string }
			_ = json.Unmarshal(e.Object, &status) // without a message, the error says the same
			return fmt.Errorf("the API server ends the watch: %s", status.Message)
		case watch.Bookmark:
		}
	}
}
