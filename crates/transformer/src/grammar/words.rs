//! The words of the grammar: Portuguese (of Brazil) beside English.

/// What a noun stands for, which decides on its verbs and adjectives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Person,
    Animal,
    Food,
    Drink,
    Text,
    Thing,
    Opening,
    Place,
}

/// A noun: singular and plural of both languages.
#[derive(Debug)]
pub(super) struct Noun {
    pub(super) pt: [&'static str; 2],
    pub(super) feminine: bool,
    pub(super) en: [&'static str; 2],
    pub(super) kind: Kind,
    /// The English word for Portuguese `em` before a place.
    pub(super) at: &'static str,
}

const fn noun(pt: [&'static str; 2], feminine: bool, en: [&'static str; 2], kind: Kind) -> Noun {
    Noun { pt, feminine, en, kind, at: "in" }
}

const fn place(
    pt: [&'static str; 2],
    feminine: bool,
    en: [&'static str; 2],
    at: &'static str,
) -> Noun {
    Noun { pt, feminine, en, kind: Kind::Place, at }
}

const M: bool = false;
const F: bool = true;

pub(super) const NOUNS: [Noun; 62] = [
    noun(["menino", "meninos"], M, ["boy", "boys"], Kind::Person),
    noun(["menina", "meninas"], F, ["girl", "girls"], Kind::Person),
    noun(["homem", "homens"], M, ["man", "men"], Kind::Person),
    noun(["mulher", "mulheres"], F, ["woman", "women"], Kind::Person),
    noun(["criança", "crianças"], F, ["child", "children"], Kind::Person),
    noun(["professor", "professores"], M, ["teacher", "teachers"], Kind::Person),
    noun(["médico", "médicos"], M, ["doctor", "doctors"], Kind::Person),
    noun(["vizinho", "vizinhos"], M, ["neighbor", "neighbors"], Kind::Person),
    noun(["irmão", "irmãos"], M, ["brother", "brothers"], Kind::Person),
    noun(["irmã", "irmãs"], F, ["sister", "sisters"], Kind::Person),
    noun(["amigo", "amigos"], M, ["friend", "friends"], Kind::Person),
    noun(["rainha", "rainhas"], F, ["queen", "queens"], Kind::Person),
    noun(["gato", "gatos"], M, ["cat", "cats"], Kind::Animal),
    noun(["cachorro", "cachorros"], M, ["dog", "dogs"], Kind::Animal),
    noun(["cavalo", "cavalos"], M, ["horse", "horses"], Kind::Animal),
    noun(["vaca", "vacas"], F, ["cow", "cows"], Kind::Animal),
    noun(["pássaro", "pássaros"], M, ["bird", "birds"], Kind::Animal),
    noun(["coelho", "coelhos"], M, ["rabbit", "rabbits"], Kind::Animal),
    noun(["rato", "ratos"], M, ["mouse", "mice"], Kind::Animal),
    noun(["tartaruga", "tartarugas"], F, ["turtle", "turtles"], Kind::Animal),
    noun(["maçã", "maçãs"], F, ["apple", "apples"], Kind::Food),
    noun(["bolo", "bolos"], M, ["cake", "cakes"], Kind::Food),
    noun(["laranja", "laranjas"], F, ["orange", "oranges"], Kind::Food),
    noun(["ovo", "ovos"], M, ["egg", "eggs"], Kind::Food),
    noun(["banana", "bananas"], F, ["banana", "bananas"], Kind::Food),
    noun(["tomate", "tomates"], M, ["tomato", "tomatoes"], Kind::Food),
    noun(["batata", "batatas"], F, ["potato", "potatoes"], Kind::Food),
    noun(["água", "águas"], F, ["water", "waters"], Kind::Drink),
    noun(["leite", "leites"], M, ["milk", "milks"], Kind::Drink),
    noun(["café", "cafés"], M, ["coffee", "coffees"], Kind::Drink),
    noun(["chá", "chás"], M, ["tea", "teas"], Kind::Drink),
    noun(["suco", "sucos"], M, ["juice", "juices"], Kind::Drink),
    noun(["livro", "livros"], M, ["book", "books"], Kind::Text),
    noun(["carta", "cartas"], F, ["letter", "letters"], Kind::Text),
    noun(["poema", "poemas"], M, ["poem", "poems"], Kind::Text),
    noun(["história", "histórias"], F, ["story", "stories"], Kind::Text),
    noun(["canção", "canções"], F, ["song", "songs"], Kind::Text),
    noun(["cadeira", "cadeiras"], F, ["chair", "chairs"], Kind::Thing),
    noun(["mesa", "mesas"], F, ["table", "tables"], Kind::Thing),
    noun(["carro", "carros"], M, ["car", "cars"], Kind::Thing),
    noun(["bicicleta", "bicicletas"], F, ["bicycle", "bicycles"], Kind::Thing),
    noun(["relógio", "relógios"], M, ["clock", "clocks"], Kind::Thing),
    noun(["chave", "chaves"], F, ["key", "keys"], Kind::Thing),
    noun(["chapéu", "chapéus"], M, ["hat", "hats"], Kind::Thing),
    noun(["sapato", "sapatos"], M, ["shoe", "shoes"], Kind::Thing),
    noun(["bola", "bolas"], F, ["ball", "balls"], Kind::Thing),
    noun(["flor", "flores"], F, ["flower", "flowers"], Kind::Thing),
    noun(["camisa", "camisas"], F, ["shirt", "shirts"], Kind::Thing),
    noun(["porta", "portas"], F, ["door", "doors"], Kind::Opening),
    noun(["janela", "janelas"], F, ["window", "windows"], Kind::Opening),
    noun(["caixa", "caixas"], F, ["box", "boxes"], Kind::Opening),
    place(["casa", "casas"], F, ["house", "houses"], "in"),
    place(["escola", "escolas"], F, ["school", "schools"], "at"),
    place(["jardim", "jardins"], M, ["garden", "gardens"], "in"),
    place(["parque", "parques"], M, ["park", "parks"], "in"),
    place(["cidade", "cidades"], F, ["city", "cities"], "in"),
    place(["mercado", "mercados"], M, ["market", "markets"], "at"),
    place(["praia", "praias"], F, ["beach", "beaches"], "on"),
    place(["biblioteca", "bibliotecas"], F, ["library", "libraries"], "in"),
    place(["estação", "estações"], F, ["station", "stations"], "at"),
    place(["hospital", "hospitais"], M, ["hospital", "hospitals"], "in"),
    place(["museu", "museus"], M, ["museum", "museums"], "in"),
];

/// An adjective, masculine and singular.
#[derive(Debug)]
pub(super) struct Adjective {
    pub(super) pt: &'static str,
    pub(super) en: &'static str,
    /// Whether it is a passing state: `estar`, not `ser`.
    pub(super) state: bool,
    pub(super) of: &'static [Kind],
}

impl Adjective {
    /// The Portuguese form.
    pub(super) fn agree(&self, feminine: bool, plural: bool) -> String {
        let word = match self.pt.strip_suffix('o') {
            Some(stem) if feminine => format!("{stem}a"),
            _ => self.pt.to_owned(),
        };
        match (plural, word.strip_suffix('m')) {
            (false, _) => word,
            (true, Some(stem)) => format!("{stem}ns"),
            (true, None) if word.ends_with('z') => format!("{word}es"),
            (true, None) => format!("{word}s"),
        }
    }
}

const fn is(pt: &'static str, en: &'static str, of: &'static [Kind]) -> Adjective {
    Adjective { pt, en, state: false, of }
}

const fn feels(pt: &'static str, en: &'static str, of: &'static [Kind]) -> Adjective {
    Adjective { pt, en, state: true, of }
}

use Kind::{Animal, Drink, Food, Opening, Person, Place, Text, Thing};

pub(super) const ADJECTIVES: [Adjective; 34] = [
    is("novo", "new", &[Text, Thing, Opening, Place]),
    is("velho", "old", &[Person, Animal, Text, Thing, Opening, Place]),
    is("pequeno", "small", &[Animal, Food, Thing, Opening, Place]),
    is("grande", "big", &[Animal, Food, Thing, Opening, Place]),
    is("branco", "white", &[Animal, Thing, Opening]),
    is("preto", "black", &[Animal, Thing, Opening]),
    is("vermelho", "red", &[Food, Thing, Opening]),
    is("amarelo", "yellow", &[Food, Thing, Opening]),
    is("verde", "green", &[Food, Thing, Opening]),
    is("bonito", "beautiful", &[Animal, Text, Thing, Place]),
    is("caro", "expensive", &[Food, Drink, Thing, Text]),
    is("barato", "cheap", &[Food, Drink, Thing, Text]),
    is("doce", "sweet", &[Food, Drink]),
    is("longo", "long", &[Text]),
    is("curto", "short", &[Text]),
    is("interessante", "interesting", &[Text, Place]),
    is("alto", "tall", &[Person]),
    is("jovem", "young", &[Person, Animal]),
    is("forte", "strong", &[Person, Animal, Drink]),
    is("inteligente", "smart", &[Person, Animal]),
    is("famoso", "famous", &[Person, Text, Place]),
    is("rápido", "fast", &[Animal]),
    is("tranquilo", "quiet", &[Place]),
    feels("feliz", "happy", &[Person]),
    feels("triste", "sad", &[Person]),
    feels("cansado", "tired", &[Person, Animal]),
    feels("ocupado", "busy", &[Person]),
    feels("doente", "sick", &[Person, Animal]),
    feels("limpo", "clean", &[Thing, Place]),
    feels("sujo", "dirty", &[Thing, Place]),
    feels("frio", "cold", &[Food, Drink]),
    feels("quente", "hot", &[Food, Drink]),
    feels("aberto", "open", &[Opening, Place]),
    feels("fechado", "closed", &[Opening, Place]),
];

/// A verb. Portuguese forms are of `eu`, `ela`, `nós`, `elas`.
#[derive(Debug)]
pub(super) struct Verb {
    pub(super) infinitive: &'static str,
    pub(super) gerund: &'static str,
    pub(super) present: [&'static str; 4],
    pub(super) past: [&'static str; 4],
    /// Base, third person, past, form in -ing.
    pub(super) en: [&'static str; 4],
    /// What may be done it to.
    pub(super) objects: &'static [Kind],
    /// Whether animals do it too.
    pub(super) animals: bool,
    /// Whether it may go on at the moment.
    pub(super) progressive: bool,
}

const fn verb(
    [infinitive, gerund]: [&'static str; 2],
    present: [&'static str; 4],
    past: [&'static str; 4],
    en: [&'static str; 4],
    objects: &'static [Kind],
) -> Verb {
    Verb { infinitive, gerund, present, past, en, objects, animals: false, progressive: true }
}

impl Verb {
    const fn of_animals_too(mut self) -> Self {
        self.animals = true;
        self
    }

    const fn never_progressive(mut self) -> Self {
        self.progressive = false;
        self
    }
}

pub(super) const VERBS: [Verb; 19] = [
    verb(
        ["comer", "comendo"],
        ["como", "come", "comemos", "comem"],
        ["comi", "comeu", "comemos", "comeram"],
        ["eat", "eats", "ate", "eating"],
        &[Food],
    )
    .of_animals_too(),
    verb(
        ["beber", "bebendo"],
        ["bebo", "bebe", "bebemos", "bebem"],
        ["bebi", "bebeu", "bebemos", "beberam"],
        ["drink", "drinks", "drank", "drinking"],
        &[Drink],
    )
    .of_animals_too(),
    verb(
        ["comprar", "comprando"],
        ["compro", "compra", "compramos", "compram"],
        ["comprei", "comprou", "compramos", "compraram"],
        ["buy", "buys", "bought", "buying"],
        &[Food, Drink, Thing, Text],
    ),
    verb(
        ["vender", "vendendo"],
        ["vendo", "vende", "vendemos", "vendem"],
        ["vendi", "vendeu", "vendemos", "venderam"],
        ["sell", "sells", "sold", "selling"],
        &[Food, Drink, Thing, Text],
    ),
    verb(
        ["ver", "vendo"],
        ["vejo", "vê", "vemos", "veem"],
        ["vi", "viu", "vimos", "viram"],
        ["see", "sees", "saw", "seeing"],
        &[Person, Animal, Thing],
    )
    .of_animals_too()
    .never_progressive(),
    verb(
        ["procurar", "procurando"],
        ["procuro", "procura", "procuramos", "procuram"],
        ["procurei", "procurou", "procuramos", "procuraram"],
        ["look for", "looks for", "looked for", "looking for"],
        &[Person, Animal, Thing, Text],
    )
    .of_animals_too(),
    verb(
        ["encontrar", "encontrando"],
        ["encontro", "encontra", "encontramos", "encontram"],
        ["encontrei", "encontrou", "encontramos", "encontraram"],
        ["find", "finds", "found", "finding"],
        &[Animal, Food, Thing, Text],
    )
    .of_animals_too()
    .never_progressive(),
    verb(
        ["abrir", "abrindo"],
        ["abro", "abre", "abrimos", "abrem"],
        ["abri", "abriu", "abrimos", "abriram"],
        ["open", "opens", "opened", "opening"],
        &[Opening],
    ),
    verb(
        ["fechar", "fechando"],
        ["fecho", "fecha", "fechamos", "fecham"],
        ["fechei", "fechou", "fechamos", "fecharam"],
        ["close", "closes", "closed", "closing"],
        &[Opening],
    ),
    verb(
        ["lavar", "lavando"],
        ["lavo", "lava", "lavamos", "lavam"],
        ["lavei", "lavou", "lavamos", "lavaram"],
        ["wash", "washes", "washed", "washing"],
        &[Thing, Animal, Opening],
    ),
    verb(
        ["escrever", "escrevendo"],
        ["escrevo", "escreve", "escrevemos", "escrevem"],
        ["escrevi", "escreveu", "escrevemos", "escreveram"],
        ["write", "writes", "wrote", "writing"],
        &[Text],
    ),
    verb(
        ["trazer", "trazendo"],
        ["trago", "traz", "trazemos", "trazem"],
        ["trouxe", "trouxe", "trouxemos", "trouxeram"],
        ["bring", "brings", "brought", "bringing"],
        &[Food, Drink, Thing, Text],
    ),
    verb(
        ["desenhar", "desenhando"],
        ["desenho", "desenha", "desenhamos", "desenham"],
        ["desenhei", "desenhou", "desenhamos", "desenharam"],
        ["draw", "draws", "drew", "drawing"],
        &[Animal, Thing, Person, Place],
    ),
    verb(
        ["quebrar", "quebrando"],
        ["quebro", "quebra", "quebramos", "quebram"],
        ["quebrei", "quebrou", "quebramos", "quebraram"],
        ["break", "breaks", "broke", "breaking"],
        &[Opening, Thing],
    )
    .of_animals_too(),
    verb(
        ["ajudar", "ajudando"],
        ["ajudo", "ajuda", "ajudamos", "ajudam"],
        ["ajudei", "ajudou", "ajudamos", "ajudaram"],
        ["help", "helps", "helped", "helping"],
        &[Person, Animal],
    ),
    verb(
        ["conhecer", "conhecendo"],
        ["conheço", "conhece", "conhecemos", "conhecem"],
        ["conheci", "conheceu", "conhecemos", "conheceram"],
        ["know", "knows", "knew", "knowing"],
        &[Person, Place],
    )
    .never_progressive(),
    verb(
        ["chamar", "chamando"],
        ["chamo", "chama", "chamamos", "chamam"],
        ["chamei", "chamou", "chamamos", "chamaram"],
        ["call", "calls", "called", "calling"],
        &[Person, Animal],
    ),
    verb(
        ["amar", "amando"],
        ["amo", "ama", "amamos", "amam"],
        ["amei", "amou", "amamos", "amaram"],
        ["love", "loves", "loved", "loving"],
        &[Person, Animal, Text, Place],
    )
    .of_animals_too()
    .never_progressive(),
    verb(
        ["visitar", "visitando"],
        ["visito", "visita", "visitamos", "visitam"],
        ["visitei", "visitou", "visitamos", "visitaram"],
        ["visit", "visits", "visited", "visiting"],
        &[Person, Place],
    ),
];

/// Numbers from two: Portuguese masculine and feminine, English.
pub(super) const NUMBERS: [([&str; 2], &str); 5] = [
    (["dois", "duas"], "two"),
    (["três", "três"], "three"),
    (["quatro", "quatro"], "four"),
    (["cinco", "cinco"], "five"),
    (["dez", "dez"], "ten"),
];
