package main

import (
	"bytes"
	"os"
	"testing"

	"github.com/sspurn/sspurn/runtime"
)

// The program that the README shows is this one, and it runs.
func TestLine(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile("main.go")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(readme, append([]byte("```go\n"), append(program, "```\n"...)...)) {
		t.Error("README.md does not show main.go as it is")
	}
	for _, n := range []int{1, 3} {
		if err := runtime.RunLocal(t.Context(), n, fit); err != nil {
			t.Errorf("%d ranks: %v", n, err)
		}
	}
}
