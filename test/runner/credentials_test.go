// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package runner

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
	"github.com/mqttbridge/mqttbridge-operator/test/traffic"
)

func login(name string) *v1alpha1.Credentials {
	return &v1alpha1.Credentials{SecretRef: v1alpha1.LocalReference{Name: name}}
}

// guarded returns a bridge whose primary requires the user bridge and the password secret.
func guarded(t *testing.T) (l *line, r *mqtttest.Runner) {
	t.Helper()
	l = newLine(t)
	l.primary = mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: "guarded", Users: map[string]string{"bridge": "secret"}})
	l.manifest.Spec.Remote.Primary = v1alpha1.Server{URL: l.primary.URL(), Credentials: login("login")}
	retry(l.manifest, 100, 1)
	return l, mqtttest.NewRunner(t, l.manifest)
}

// failed checks that a server failed with the given reason, and that the error contains the words.
func failed(s v1alpha1.MQTTBridgeStatus, place int, reason string, words ...string) error {
	e := s.Remote.Servers[place]
	if e.State != v1alpha1.ServerFailed || e.LastError == nil || e.LastError.Reason != reason {
		return fmt.Errorf("%s is %s with error %+v, want Failed with %s", e.Name, e.State, e.LastError, reason)
	}
	for _, word := range words {
		if !strings.Contains(e.LastError.Message, word) {
			return fmt.Errorf("the error of %s is %q, which does not contain %q", e.Name, e.LastError.Message, word)
		}
	}
	return nil
}

func TestCredentials_PrimaryRefusesPassword_BackupIsUsed(t *testing.T) {
	t.Parallel()
	_, r := guarded(t)
	r.SetFile("login", "username", "bridge")
	r.SetFile("login", "password", "wrong")
	r.Start()
	s := r.WaitActive("backup-1", eventTimeout)
	if err := failed(s, 0, v1alpha1.ReasonAuthenticationFailed, "login", "password"); err != nil {
		t.Error(err)
	}
	if strings.Contains(r.Log(), "wrong") {
		t.Error("the log contains the password")
	}
}

func TestSecret_CreatedLater_IsNamedAndUsedWithoutARestart(t *testing.T) {
	t.Parallel()
	l, _ := guarded(t)
	l.manifest.Spec.Remote.Backups = nil
	r := mqtttest.NewRunner(t, l.manifest)
	r.Start()
	missing := func(words ...string) {
		t.Helper()
		r.WaitStatus(eventTimeout, "the missing reference is named", func(s v1alpha1.MQTTBridgeStatus) error {
			return failed(s, 0, v1alpha1.ReasonReferenceMissing, words...)
		})
	}
	missing("login")
	r.SetFile("login", "username", "bridge")
	missing("login", "password")
	r.SetFile("login", "password", "secret")
	r.WaitActive("primary", eventTimeout)
}

func TestSecret_MissingForOneServer_OtherServersAreUsed(t *testing.T) {
	t.Parallel()
	_, r := guarded(t)
	r.Start()
	s := r.WaitActive("backup-1", eventTimeout)
	if err := failed(s, 0, v1alpha1.ReasonReferenceMissing, "login"); err != nil {
		t.Error(err)
	}
}

func TestPassword_Rotated_IsUsedWithoutARestart(t *testing.T) {
	t.Parallel()
	l, _ := guarded(t)
	l.manifest.Spec.Remote.Backups = nil
	r := mqtttest.NewRunner(t, l.manifest)
	r.SetFile("login", "username", "bridge")
	r.SetFile("login", "password", "secret")
	r.Start()
	r.WaitActive("primary", eventTimeout)
	l.primary.SetUsers(map[string]string{"bridge": "rotated"})
	l.primary.Restart()
	r.WaitStatus(eventTimeout, "the old password is refused", func(s v1alpha1.MQTTBridgeStatus) error {
		return failed(s, 0, v1alpha1.ReasonAuthenticationFailed)
	})
	r.SetFile("login", "password", "rotated")
	r.WaitActive("primary", eventTimeout)
}

func TestTLS_ClientCertificateAndPassword_Connects(t *testing.T) {
	t.Parallel()
	pki := mqtttest.NewPKI(t)
	local := mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: "local", Users: map[string]string{"inside": "a b\"c"}})
	remote := mqtttest.StartBroker(t, mqtttest.BrokerOptions{
		Name: "remote", TLS: pki.Server(), ClientCA: pki.CA, Users: map[string]string{"bridge": "secret"},
	})
	b := manifest("tls", local.URL(), remote.URL())
	b.Spec.Local.Credentials = login("local-login")
	b.Spec.Remote.Credentials = login("remote-login")
	b.Spec.Remote.TLS = &v1alpha1.TLS{
		CARef:         &v1alpha1.CAReference{Kind: v1alpha1.CAKindConfigMap, Name: "ca"},
		CertSecretRef: &v1alpha1.LocalReference{Name: "client-cert"},
	}
	r := mqtttest.NewRunner(t, b)
	client := pki.Client("bridge")
	for object, keys := range map[string]map[string]string{
		"local-login":  {"username": "inside", "password": "a b\"c"},
		"remote-login": {"username": "bridge", "password": "secret"},
		"ca":           {"ca.crt": string(pki.CA)},
		"client-cert":  {"tls.crt": string(client.Cert), "tls.key": string(client.Key)},
	} {
		for key, value := range keys {
			r.SetFile(object, key, value)
		}
	}
	r.Start()
	r.WaitActive("primary", eventTimeout)
	c := mqtttest.StartCollector(t, "up/#", "s", remote)
	p := mqtttest.StartPublisher(t, local, traffic.PublisherConfig{Topic: "up/x", Stream: "s", QoS: 1, Rate: 1000, Count: 500})
	must(t, p.WaitDone(eventTimeout))
	onceEach(t, judge(t, p, c, c.WaitAll(p.Ledger(), eventTimeout)))
}

func TestTLS_Failures_HaveDistinctErrors(t *testing.T) {
	t.Parallel()
	pki := mqtttest.NewPKI(t)
	for _, tc := range []struct {
		name   string
		server *mqtttest.KeyPair
		demand []byte // the authority of the required client certificate; nil if none is required
		words  []string
	}{
		{name: "expired", server: pki.Expired(), words: []string{"expired"}},
		{name: "another authority", server: mqtttest.NewPKI(t).Server(), words: []string{"authority"}},
		{name: "another name", server: pki.WrongName(), words: []string{"another.example", "localhost"}},
		{name: "client certificate demanded", server: pki.Server(), demand: pki.CA, words: []string{"client certificate"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			l := newLine(t)
			bad := mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: "bad", TLS: tc.server, ClientCA: tc.demand})
			l.manifest.Spec.Remote.Primary = v1alpha1.Server{
				URL: bad.URL(),
				TLS: &v1alpha1.TLS{CARef: &v1alpha1.CAReference{Kind: v1alpha1.CAKindSecret, Name: "ca"}},
			}
			r := mqtttest.NewRunner(t, l.manifest)
			r.SetFile("ca", "ca.crt", string(pki.CA))
			r.Start()
			s := r.WaitActive("backup-1", eventTimeout)
			if err := failed(s, 0, v1alpha1.ReasonTLSFailed, tc.words...); err != nil {
				t.Error(err)
			}
			t.Log(s.Remote.Servers[0].LastError)
		})
	}
}

func TestTLS_ServerName_ReplacesHostOfURL(t *testing.T) {
	t.Parallel()
	pki := mqtttest.NewPKI(t)
	local := mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: "local"})
	remote := mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: "remote", TLS: pki.WrongName()})
	b := manifest("sni", local.URL(), remote.URL())
	b.Spec.Remote.TLS = &v1alpha1.TLS{CARef: &v1alpha1.CAReference{Kind: v1alpha1.CAKindSecret, Name: "ca"}, ServerName: "another.example"}
	r := mqtttest.NewRunner(t, b)
	r.SetFile("ca", "ca.crt", string(pki.CA))
	r.Start()
	r.WaitActive("primary", eventTimeout)
}

func TestTLS_MissingAuthority_IsNamed(t *testing.T) {
	t.Parallel()
	pki := mqtttest.NewPKI(t)
	local := mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: "local"})
	remote := mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: "remote", TLS: pki.Server()})
	b := retry(manifest("ca", local.URL(), remote.URL()), 100, 1)
	b.Spec.Remote.TLS = &v1alpha1.TLS{CARef: &v1alpha1.CAReference{Kind: v1alpha1.CAKindConfigMap, Name: "plant-ca"}}
	r := mqtttest.StartRunner(t, b)
	r.WaitStatus(eventTimeout, "the missing authority is named", func(s v1alpha1.MQTTBridgeStatus) error {
		if s.Remote == nil || len(s.Remote.Servers) == 0 {
			return errors.New("the status has no servers")
		}
		return failed(s, 0, v1alpha1.ReasonReferenceMissing, "ConfigMap", "plant-ca", "ca.crt")
	})
	r.SetFile("plant-ca", "ca.crt", string(pki.CA))
	r.WaitActive("primary", eventTimeout)
}
