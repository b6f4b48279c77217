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

// guarded returns a bridge whose primary requires the user bridge and the password secret.
func guarded(t *testing.T) (l *line, r *mqtttest.Runner) {
	t.Helper()
	l = newLine(t)
	l.primary = mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: "guarded", Users: map[string]string{"bridge": "secret"}})
	l.manifest.Spec.Remote.Primary = v1alpha1.Server{URL: l.primary.URL(), Credentials: mqtttest.Login("login")}
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
	missing(`Secret "login"`, `key "username"`, "spec.remote.primary.credentials.username.secretKeyRef")
	r.SetFile("login", "username", "bridge")
	missing(`Secret "login"`, `key "password"`, "spec.remote.primary.credentials.password.secretKeyRef")
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
	b.Spec.Local.Credentials = &v1alpha1.Credentials{
		Username: &v1alpha1.UsernameSource{Value: "inside"},
		Password: &v1alpha1.SecretSource{SecretKeyRef: v1alpha1.KeyReference{Name: "local-login", Key: "plant.password"}},
	}
	b.Spec.Remote.Credentials = mqtttest.Login("remote-login")
	b.Spec.Remote.TLS = mqtttest.ShowCertificate(mqtttest.TrustConfigMap("ca"), "client-cert")
	r := mqtttest.NewRunner(t, b)
	client := pki.Client("bridge")
	for object, keys := range map[string]map[string]string{
		"local-login":            {"plant.password": "a b\"c"},
		"remote-login":           {"username": "bridge", "password": "secret"},
		mqtttest.ConfigMap("ca"): {"ca.crt": string(pki.CA)},
		"client-cert":            {"tls.crt": string(client.Cert), "tls.key": string(client.Key)},
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
				TLS: mqtttest.TrustSecret("ca"),
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
	b.Spec.Remote.TLS = mqtttest.TrustSecret("ca")
	b.Spec.Remote.TLS.ServerName = "another.example"
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
	b.Spec.Remote.TLS = mqtttest.TrustConfigMap("plant-ca")
	r := mqtttest.StartRunner(t, b)
	r.WaitStatus(eventTimeout, "the missing authority is named", func(s v1alpha1.MQTTBridgeStatus) error {
		if s.Remote == nil || len(s.Remote.Servers) == 0 {
			return errors.New("the status has no servers")
		}
		return failed(s, 0, v1alpha1.ReasonReferenceMissing, "ConfigMap", "plant-ca", "ca.crt", "spec.remote.tls.ca.configMapKeyRef")
	})
	r.SetFile(mqtttest.ConfigMap("plant-ca"), "ca.crt", string(pki.CA))
	r.WaitActive("primary", eventTimeout)
}

func TestTLS_AuthoritiesInSecretConfigMapAndClusterTrustBundle_AreKeptApart(t *testing.T) {
	t.Parallel()
	bundle := &v1alpha1.ClusterTrustBundleSource{SignerName: "example.com/plant"}
	for _, c := range []struct {
		name, file string
		tls        *v1alpha1.TLS
		missing    []string // words
	}{
		{"Secret", "plant", mqtttest.TrustSecret("plant"), []string{`Secret "plant"`, `key "ca.crt"`, "spec.remote.tls.ca.secretKeyRef"}},
		{"ConfigMap", mqtttest.ConfigMap("plant"), mqtttest.TrustConfigMap("plant"), []string{`ConfigMap "plant"`, `key "ca.crt"`, "spec.remote.tls.ca.configMapKeyRef"}},
		{
			"ClusterTrustBundle", "clusterTrustBundles/example.com:plant", &v1alpha1.TLS{CA: &v1alpha1.CASource{ClusterTrustBundle: bundle}},
			[]string{`ClusterTrustBundle of the signer "example.com/plant"`, "spec.remote.tls.ca.clusterTrustBundle"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			pki := mqtttest.NewPKI(t)
			local := mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: "local"})
			remote := mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: "remote", TLS: pki.Server()})
			b := retry(manifest("kinds", local.URL(), remote.URL()), 100, 1)
			b.Spec.Remote.TLS = c.tls
			r := mqtttest.NewRunner(t, b)
			others := string(mqtttest.NewPKI(t).CA)
			for _, file := range []string{"plant", mqtttest.ConfigMap("plant"), "clusterTrustBundles/example.com:plant"} {
				if file != c.file {
					r.SetFile(file, "ca.crt", others)
				}
			}
			if c.tls.CA.ClusterTrustBundle != nil {
				r.SetFile(c.file, "ca.crt", "") // as the kubelet does if there is no bundle
			}
			r.Start()
			r.WaitStatus(eventTimeout, "the missing authority is named", func(s v1alpha1.MQTTBridgeStatus) error {
				if s.Remote == nil || len(s.Remote.Servers) == 0 {
					return errors.New("the status has no servers")
				}
				return failed(s, 0, v1alpha1.ReasonReferenceMissing, c.missing...)
			})
			r.SetFile(c.file, "ca.crt", string(pki.CA))
			r.WaitActive("primary", eventTimeout)
		})
	}
}
