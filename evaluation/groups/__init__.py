"""`--groups`: results by groups of people or photographs."""
