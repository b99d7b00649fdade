// Rewrites paths.json with what client-go makes of its paths. In a module that requires k8s.io/client-go (v0.34.0 wrote the file):
//
//	go run paths.go paths.json
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"k8s.io/client-go/util/jsonpath"
)

type golden struct {
	Documents []json.RawMessage `json:"documents"`
	Cases     []testCase        `json:"cases"`
}

type testCase struct {
	Path     string  `json:"path"`
	Document int     `json:"document"`
	Missing  string  `json:"missing"`
	Groups   [][]any `json:"groups,omitempty"`
	Error    string  `json:"error,omitempty"`
}

func integers(v any) any {
	switch v := v.(type) {
	case json.Number:
		if i, err := v.Int64(); err == nil {
			return i
		}
		f, _ := v.Float64()
		return f
	case []any:
		for i := range v {
			v[i] = integers(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = integers(v[k])
		}
	}
	return v
}

func find(c *testCase, document any) error {
	path := jsonpath.New("golden").AllowMissingKeys(c.Missing == "allow")
	if err := path.Parse(c.Path); err != nil {
		return err
	}
	results, err := path.FindResults(document)
	if err != nil {
		return err
	}
	for _, results := range results {
		group := []any{}
		for _, value := range results {
			group = append(group, value.Interface())
		}
		c.Groups = append(c.Groups, group)
	}
	return nil
}

func main() {
	raw, err := os.ReadFile(os.Args[1])
	if err != nil {
		panic(err)
	}
	var file golden
	if err := json.Unmarshal(raw, &file); err != nil {
		panic(err)
	}
	documents := make([]any, len(file.Documents))
	for i, document := range file.Documents {
		decoder := json.NewDecoder(bytes.NewReader(document))
		decoder.UseNumber()
		if err := decoder.Decode(&documents[i]); err != nil {
			panic(err)
		}
		documents[i] = integers(documents[i])
	}
	encode := func(v any) string {
		var out bytes.Buffer
		e := json.NewEncoder(&out)
		e.SetEscapeHTML(false)
		if err := e.Encode(v); err != nil {
			panic(err)
		}
		return strings.TrimSpace(out.String())
	}
	lines := make([]string, len(file.Cases))
	for i, c := range file.Cases {
		c.Groups, c.Error = nil, ""
		if err := find(&c, documents[c.Document]); err != nil {
			c.Error = err.Error()
		}
		lines[i] = encode(c)
	}
	text := fmt.Sprintf("{\"documents\": %s,\n\"cases\": [\n%s\n]}\n", encode(file.Documents), strings.Join(lines, ",\n"))
	if err := os.WriteFile(os.Args[1], []byte(text), 0o644); err != nil {
		panic(err)
	}
}
