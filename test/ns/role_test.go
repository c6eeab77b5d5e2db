package ns_test

import "fmt"

// roleEnv makes the test binary play a role in a host: a program that uses the library, or
// one that attacks it.
const roleEnv = "ESPIAL_NS_ROLE"

func play(role string) error { return fmt.Errorf("unknown role %q", role) }
