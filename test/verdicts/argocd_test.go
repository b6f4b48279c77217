// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package verdicts

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	lua "github.com/yuin/gopher-lua"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// A health is the result of a health script.
type health struct {
	Status  string `json:"status"`
	Message string `json:"message,omitempty"`
}

// newLua returns an interpreter that limits a script as Argo CD does: the script has a second, and
// only the base library and the library for tables.
func newLua(t *testing.T) *lua.LState {
	t.Helper()
	l := lua.NewState(lua.Options{SkipOpenLibs: true})
	t.Cleanup(l.Close)
	for name, open := range map[string]lua.LGFunction{lua.BaseLibName: lua.OpenBase, lua.TabLibName: lua.OpenTable} {
		if err := l.CallByParam(lua.P{Fn: l.NewFunction(open), Protect: true}, lua.LString(name)); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	t.Cleanup(cancel)
	l.SetContext(ctx)
	return l
}

// toLua converts a decoded object.
func toLua(l *lua.LState, value any) lua.LValue {
	switch v := value.(type) {
	case bool:
		return lua.LBool(v)
	case string:
		return lua.LString(v)
	case int64:
		return lua.LNumber(v)
	case float64:
		return lua.LNumber(v)
	case []any:
		table := l.NewTable()
		for _, item := range v {
			table.Append(toLua(l, item))
		}
		return table
	case map[string]any:
		table := l.NewTable()
		for key, item := range v {
			table.RawSetString(key, toLua(l, item))
		}
		return table
	}
	return lua.LNil
}

func runHealthScript(t *testing.T, script string, bridge *unstructured.Unstructured) health {
	t.Helper()
	l := newLua(t)
	l.SetGlobal("obj", toLua(l, bridge.Object))
	if err := l.DoString(script); err != nil {
		t.Fatal(err)
	}
	result, ok := l.Get(-1).(*lua.LTable)
	if !ok {
		t.Fatalf("the script returns a %s, want a table", l.Get(-1).Type())
	}
	return health{lua.LVAsString(result.RawGetString("status")), lua.LVAsString(result.RawGetString("message"))}
}

func TestHealthScript_DocumentedConfigMap_HoldsTheScript(t *testing.T) {
	var configMap struct {
		Data map[string]string `json:"data"`
	}
	decodeExample(t, "data", &configMap)
	want := map[string]string{"resource.customizations.health.mqttbridge.io_MQTTBridge": read(t, filepath.Join(customization, "health.lua"))}
	if !maps.Equal(configMap.Data, want) {
		t.Errorf("docs/operations.md has\n%q\nwant health.lua:\n%q", configMap.Data, want)
	}
}

func TestHealthScript_IncompleteStatus_IsProgressing(t *testing.T) {
	script := read(t, filepath.Join(customization, "health.lua"))
	for name, status := range map[string]any{
		"no status":                nil,
		"empty status":             map[string]any{},
		"no conditions":            map[string]any{"observedGeneration": int64(1)},
		"no conditions in a list":  map[string]any{"observedGeneration": int64(1), "conditions": []any{}},
		"an earlier generation":    map[string]any{"observedGeneration": int64(0), "conditions": []any{map[string]any{"type": "Ready", "status": "True"}}},
		"conditions and no number": map[string]any{"conditions": []any{map[string]any{"type": "Ready", "status": "True"}}},
	} {
		t.Run(name, func(t *testing.T) {
			bridge := &unstructured.Unstructured{Object: map[string]any{"metadata": map[string]any{"generation": int64(1)}}}
			if status != nil {
				bridge.Object["status"] = status
			}
			if got := runHealthScript(t, script, bridge); got.Status != "Progressing" || got.Message == "" {
				t.Errorf("the health is %+v, want Progressing with a message", got)
			}
		})
	}
}

// Argo CD's own test runs the cases of health_test.yaml.
func TestHealthScript_CasesForArgoCD_AreCompleteAndCorrect(t *testing.T) {
	type testCase struct {
		HealthStatus health `json:"healthStatus"`
		InputPath    string `json:"inputPath"`
	}
	var cases struct {
		Tests []testCase `json:"tests"`
	}
	bridges, script := states(t), read(t, filepath.Join(customization, "health.lua"))
	for _, state := range slices.Sorted(maps.Keys(bridges)) {
		cases.Tests = append(cases.Tests, testCase{runHealthScript(t, script, bridges[state]), "testdata/" + state + ".yaml"})
	}
	want, err := yaml.Marshal(cases)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(customization, "health_test.yaml")
	if *update {
		if err := os.WriteFile(file, want, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if got := read(t, file); got != string(want) {
		t.Errorf("%s differs from the results of health.lua (go test -update writes it):\n%s", file, want)
	}
}
