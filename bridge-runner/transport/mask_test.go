// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package transport

import (
	"net/http"
	"reflect"
	"strings"
	"testing"
)

func TestMask_QueryAndHeaderValuesInEveryForm_AreReplaced(t *testing.T) {
	cfg := &Config{
		Path: "/mqtt?v=1&sig=a%2Fb%20c%2B%3D&flag-s3cr3t&plain=t0k3n",
		Header: http.Header{
			"Authorization": {"Bearer eyJh.bGci"},
			"X-Basic":       {"Basic dXNlcjpodW50ZXIyMg=="},
			"X-Quoted":      {`qu"ote\d`},
			"X-One":         {"1"},
			"Cookie":        {"a=1; session=c00k13-of-7; lang=en-us"},
			"X-Sas":         {"SharedAccessSignature sr=plant-seven&sig=c2ln%2Fbmvk%3D&se=17"},
		},
	}
	for text, want := range map[string]string{
		"no secrets here":                                       "no secrets here",
		"bad dXNlcjpodW50ZXIyMg==":                              "bad ...",
		"unknown user with hunter22":                            "unknown user with ...",
		"v=1 is no secret, 1 neither":                           "v=1 is no secret, 1 neither",
		"/mqtt?v=1&sig=a%2Fb%20c%2B%3D&flag-s3cr3t&plain=t0k3n": "/mqtt?...",
		"sig a%2Fb%20c%2B%3D":                                   "sig ...",
		"sig a/b c+= decoded":                                   "sig ... decoded",
		"sig a%2Fb+c%2B%3D encoded":                             "sig ... encoded",
		"bad token t0k3n":                                       "bad token ...",
		"flag-s3cr3t":                                           "...",
		"unknown session c00k13-of-7":                           "unknown session ...",
		"the language en-us is of 5 bytes":                      "the language en-us is of 5 bytes",
		"signature c2ln%2Fbmvk%3D":                              "signature ...",
		"signature c2ln/bmvk= is no match":                      "signature ... is no match",
		"bad eyJh.bGci in Bearer eyJh.bGci":                     "bad ... in ...",
		`the server says "qu\"ote\\d"`:                          `the server says "..."`,
	} {
		if got := cfg.Mask(text); got != want {
			t.Errorf("%s\nbecomes %s\nwant    %s", text, got, want)
		}
	}
	if got := (&Config{Path: "/mqtt"}).Mask("/mqtt"); got != "/mqtt" {
		t.Error(got)
	}
}

func TestMask_Error_MasksEachFact(t *testing.T) {
	const secret = "s3cr3t-t0ken"
	failed := &Error{Kind: TLSFailed}
	fields := reflect.ValueOf(failed).Elem()
	for i := range fields.NumField() {
		switch field, name := fields.Field(i), fields.Type().Field(i).Name; {
		case field.Kind() == reflect.String && name != "Kind":
			field.SetString("the " + secret)
		case field.Type() == reflect.TypeFor[[]string]():
			field.Set(reflect.ValueOf([]string{"a", "the " + secret}))
		}
	}
	if text := failed.Error(); strings.Count(text, secret) != 6 {
		t.Fatalf("the test does not set all facts: %s", text)
	}
	failed.mask(&Config{Path: "/mqtt?token=" + secret})
	if text := failed.Error(); strings.Contains(text, secret) || strings.Count(text, `"the ..."`) != 6 {
		t.Error(text)
	}
}

func TestUpgrade_Headers_AreSentUnchanged(t *testing.T) {
	hostPort, requests := listenWebSocket(t, speaksMQTT, wsEcho)
	wantEcho(t, dial(t, Config{
		HostPort: hostPort, WebSocket: true, Path: "/mqtt?a=b",
		Header: http.Header{"Authorization": {"Bearer x"}, "User-Agent": {"own"}, "X-Api-Key": {" a, b; c=\"d\" "}},
	}))
	r := <-requests
	if r.Header.Get("Authorization") != "Bearer x" || r.Header.Get("X-Api-Key") != `a, b; c="d"` || strings.Join(r.Header["User-Agent"], "|") != "own" || r.URL.RawQuery != "a=b" {
		t.Errorf("requested %s with header %v", r.URL, r.Header)
	}
	wantEcho(t, dial(t, Config{HostPort: hostPort, WebSocket: true}))
	if r := <-requests; r.Header.Get("User-Agent") != userAgent {
		t.Errorf("requested with header %v", r.Header)
	}
}
