#!/usr/bin/env escript
%%! +S 1:1
%% Runs the cases of a table (cases.txt says what is in it) with OTP's own supervisor and prints what happened.
%%
%%   otp_trace.escript CASES
%%
%% Nothing is guessed by time: a step is over when the processes that it names have ended (monitors) and every process of
%% the tree has answered a call and shows the same as in the rounds before. The cases run at once, each with processes of
%% its own, because some of them let real time pass. One scheduler: then the end of a process has reached everybody before
%% anybody acts on it, and events are in the order in which they happened.
-mode(compile).
-export([main/1, init/1, handle_call/3, handle_cast/2, handle_info/2, terminate/2, start_worker/2, start_worker/3,
         start_supervisor/2]).

-define(SAME_ROUNDS, 3).

main([File]) ->
    logger:set_primary_config(level, none),
    {ok, Bytes} = file:read_file(File),
    Cases = parse([string:lexemes(L, " ") || L <- string:split(binary_to_list(Bytes), "\n", all)]),
    io:format("# Erlang/OTP ~s, the module supervisor of stdlib ~s~n", [otp_version(), stdlib_version()]),
    Runs = [{C, spawn_monitor(fun() -> exit({trace, run(C)}) end)} || C <- Cases],
    lists:foreach(
      fun({Case, {Pid, Ref}}) ->
              receive
                  {'DOWN', Ref, process, Pid, {trace, Lines}} ->
                      io:format("~n~s", [[[L, $\n] || L <- ["case " ++ maps:get(name, Case) | Lines]]]);
                  {'DOWN', Ref, process, Pid, Reason} ->
                      io:format(standard_error, "the case '~s' failed: ~p~n", [maps:get(name, Case), Reason]),
                      halt(1)
              end
      end, Runs).

otp_version() ->
    File = filename:join([code:root_dir(), "releases", erlang:system_info(otp_release), "OTP_VERSION"]),
    case file:read_file(File) of
        {ok, Version} -> string:trim(Version);
        _ -> erlang:system_info(otp_release)
    end.

stdlib_version() ->
    _ = application:load(stdlib),
    {ok, Version} = application:get_key(stdlib, vsn),
    Version.

%% ---- the table ------------------------------------------------------------------------------------------------------

parse(Lines) -> parse(Lines, none, []).

parse([], none, Cases) -> lists:reverse(Cases);
parse([], Case, Cases) -> lists:reverse([Case | Cases]);
parse([[] | Lines], Case, Cases) -> parse(Lines, Case, Cases);
parse([["#" ++ _ | _] | Lines], Case, Cases) -> parse(Lines, Case, Cases);
parse([["case" | Name] | Lines], Case, Cases) ->
    New = #{name => lists:join(" ", Name) , sups => [], during => [], steps => []},
    parse(Lines, New#{name => lists:flatten(maps:get(name, New))}, [Case || Case =/= none] ++ Cases);
parse([Line | Lines], Case, Cases) -> parse(Lines, add(Line, Case), Cases).

add(["differs" | _], Case) -> Case;
add(["ours|" ++ _ | _], Case) -> Case;
add(["supervisor", Name, Strategy, Limit | Options], #{sups := Sups} = Case) ->
    [Intensity, Period] = string:split(Limit, "/"),
    Flags = #{strategy => list_to_atom(Strategy), intensity => list_to_integer(Intensity),
              period => list_to_integer(Period)},
    Case#{sups := Sups ++ [{Name, lists:foldl(fun flag/2, Flags, Options), []}]};
add(["child" | Child], #{sups := Sups} = Case) ->
    {Name, Flags, Children} = lists:last(Sups),
    Case#{sups := lists:droplast(Sups) ++ [{Name, Flags, Children ++ [child(Child)]}]};
add(["during", Id, Start | Request], #{during := During} = Case) ->
    Case#{during := During ++ [{length(During), Id, list_to_integer(Start), Request}]};
add(Step, #{steps := Steps} = Case) -> Case#{steps := Steps ++ [Step]}.

flag("auto_shutdown=" ++ When, Flags) -> Flags#{auto_shutdown => list_to_atom(When)}.

child([Id, Restart | Options]) ->
    lists:foldl(fun option/2, #{id => Id, restart => list_to_atom(Restart), type => worker}, Options).

option("supervisor", C) -> C#{type => supervisor};
option("significant", C) -> C#{significant => true};
option("traps", C) -> C#{traps => true};
option("stubborn", C) -> C#{traps => true, stubborn => true};
option("stop_fails", C) -> C#{traps => true, stop_fails => true};
option("throws", C) -> C#{throws => true};
option("shutdown=brutal_kill", C) -> C#{shutdown => brutal_kill};
option("shutdown=infinity", C) -> C#{shutdown => infinity};
option("shutdown=" ++ Ms, C) -> C#{shutdown => list_to_integer(Ms)};
option("fails=" ++ Range, C) ->
    case string:split(Range, "-") of
        [One] -> C#{fails => {list_to_integer(One), list_to_integer(One)}};
        [From, ""] -> C#{fails => {list_to_integer(From), infinity}};
        [From, To] -> C#{fails => {list_to_integer(From), list_to_integer(To)}}
    end.

%% ---- the tree -------------------------------------------------------------------------------------------------------

spec(Ctx, #{id := Id, type := Type} = Child) ->
    Start = case Type of
                worker -> {?MODULE, start_worker, [Ctx, Child]};
                supervisor -> {?MODULE, start_supervisor, [Ctx, Id]}
            end,
    maps:merge(maps:with([restart, significant, shutdown, type], Child), #{id => Id, start => Start}).

start_worker(Ctx, Child) -> gen_server:start_link(?MODULE, {worker, Ctx, Child}, []).
start_worker(Ctx, Child, Id) -> start_worker(Ctx, Child#{id := Id}).
start_supervisor(Ctx, Name) -> supervisor:start_link(?MODULE, {supervisor, Ctx, Name}).

init({supervisor, {Diary, #{sups := Sups}} = Ctx, Name}) ->
    call(Diary, {supervisor, Name, self()}),
    {Name, Flags, Children} = lists:keyfind(Name, 1, Sups),
    {ok, {Flags, [spec(Ctx, C) || C <- Children]}};
init({worker, {Diary, #{during := During}} = Ctx, #{id := Id} = Child}) ->
    process_flag(trap_exit, maps:get(traps, Child, false)),
    Start = call(Diary, {start, Id}),
    {From, To} = maps:get(fails, Child, {0, -1}),
    Fails = Start >= From andalso Start =< To,
    call(Diary, case Fails of true -> {failed, Id}; false -> {started, Id, self()} end),
    [queue_request(Ctx, Order, Request) || {Order, I, N, Request} <- During, I =:= Id, N =:= Start],
    case {Fails, maps:get(throws, Child, false)} of
        {false, _} -> {ok, Child};
        {true, true} -> erlang:error(no_luck);
        {true, false} -> {stop, no_luck}
    end.

%% Has the request in the supervisor's mailbox before the start goes on.
queue_request({Diary, _}, Order, ["exit", Id, Reason] = Request) ->
    call(Diary, asked),
    end_worker(Diary, Id, Reason),
    call(Diary, {answer, {Order, lists:join(" ", Request), "ok"}});
queue_request({Diary, _} = Ctx, Order, [_, Name | _] = Request) ->
    Supervisor = call(Diary, {pid, Name}),
    call(Diary, asked),
    Asker = spawn(fun() -> call(Diary, {answer, {Order, lists:join(" ", Request), request(Ctx, Request)}}) end),
    wait_until(fun() -> is_queued(Supervisor, Asker) end).

is_queued(Supervisor, Asker) ->
    {messages, Messages} = process_info(Supervisor, messages),
    lists:any(fun({'$gen_call', {From, _}, _}) -> From =:= Asker; (_) -> false end, Messages).

wait_until(Done) ->
    Done() orelse begin erlang:yield(), wait_until(Done) end.

handle_call(ping, _From, Child) -> {reply, ok, Child}.
handle_cast({exit, error}, _Child) -> erlang:error(on_purpose);
handle_cast({exit, Reason}, Child) -> {stop, Reason, Child}.
handle_info(_Message, Child) -> {noreply, Child}.
terminate(_Reason, #{stubborn := true}) -> receive after infinity -> ok end;
terminate(shutdown, #{stop_fails := true}) -> erlang:error(on_purpose);
terminate(_Reason, _Child) -> ok.

%% ---- the diary: what happens in a case, in order ---------------------------------------------------------------------

call(Pid, Request) ->
    Ref = monitor(process, Pid),
    Pid ! {Request, self(), Ref},
    receive
        {Ref, Answer} -> demonitor(Ref, [flush]), Answer;
        {'DOWN', Ref, process, Pid, Reason} -> exit(Reason)
    end.

new_diary() ->
    spawn_link(fun() -> diary(#{events => [], answers => [], pids => #{}, names => #{}, starts => #{}, live => [],
                         waiting => 0}) end).

diary(#{events := Events, answers := Answers, pids := Pids, names := Names, starts := Starts, live := Live,
        waiting := Waiting} = D) ->
    receive
        {'DOWN', _, process, Pid, Reason} ->
            Event = "-" ++ maps:get(Pid, Names) ++ ":" ++ word(Reason),
            diary(D#{events := [Event | Events], live := Live -- [Pid]});
        {Request, From, Ref} ->
            {Answer, Next} =
                case Request of
                    {start, Id} ->
                        N = maps:get(Id, Starts, 0) + 1,
                        {N, D#{starts := Starts#{Id => N}}};
                    {started, Id, Pid} ->
                        monitor(process, Pid),
                        {ok, D#{events := ["+" ++ Id | Events], pids := Pids#{Id => Pid}, names := Names#{Pid => Id},
                                live := [Pid | Live]}};
                    {failed, Id} -> {ok, D#{events := ["!" ++ Id | Events]}};
                    {supervisor, Name, Pid} -> {ok, D#{pids := Pids#{Name => Pid}, names := Names#{Pid => Name}}};
                    asked -> {ok, D#{waiting := Waiting + 1}};
                    {answer, New} -> {ok, D#{answers := [New | Answers], waiting := Waiting - 1}};
                    {pid, Id} -> {maps:get(Id, Pids, nobody()), D};
                    {name, Pid} -> {maps:get(Pid, Names), D};
                    look -> {{length(Events), Waiting, Live}, D};
                    take -> {{lists:reverse(Events), lists:sort(Answers)}, D#{events := [], answers := []}}
                end,
            From ! {Ref, Answer},
            diary(Next)
    end.

%% A process that has ended.
nobody() ->
    {Pid, Ref} = spawn_monitor(fun() -> ok end),
    receive {'DOWN', Ref, process, Pid, _} -> Pid end.

word(normal) -> "normal";
word(shutdown) -> "shutdown";
word(killed) -> "killed";
word(_) -> "error".

%% ---- one case -------------------------------------------------------------------------------------------------------

run(#{sups := [{Top, _, _} | _], steps := Steps} = Case) ->
    process_flag(trap_exit, true),
    Diary = new_diary(),
    Ctx = {Diary, Case},
    Answer = case start_supervisor(Ctx, Top) of
                 {ok, Pid} -> put(top, {Top, Pid}), "ok";
                 {error, {shutdown, {failed_to_start_child, _, _}}} -> "failed";
                 {error, {start_spec, _}} -> "invalid";
                 {error, {bad_start_spec, _}} -> "invalid"
             end,
    put(watched, #{}),
    Begin = report(Ctx, ["begin"], Answer),
    lists:append([Begin | [take_step(Ctx, S) || S <- Steps]]).

take_step(Ctx, ["unordered" | Step]) -> report(Ctx, ["unordered" | Step], step(Ctx, Step));
take_step(Ctx, Step) -> report(Ctx, Step, step(Ctx, Step)).

step({Diary, _}, ["exit", Id, Reason]) -> end_worker(Diary, Id, Reason), none;
step({Diary, _}, ["together", Name | Ends]) ->
    Supervisor = call(Diary, {pid, Name}),
    Alive = is_process_alive(Supervisor),
    Alive andalso sys:suspend(Supervisor),
    lists:foreach(fun(End) ->
                          [Id, Reason] = string:split(End, "="),
                          end_worker(Diary, Id, Reason)
                  end, Ends),
    Alive andalso sys:resume(Supervisor),
    none;
step({Diary, _}, ["kill", Id]) ->
    Pid = call(Diary, {pid, Id}),
    Ref = monitor(process, Pid),
    exit(Pid, kill),
    await_down(Ref),
    none;
step({Diary, _}, ["signal", Id, Reason]) ->
    Pid = call(Diary, {pid, Id}),
    await_down(element(2, spawn_monitor(fun() -> exit(Pid, list_to_atom(Reason)) end))),
    none;
step(_, ["stop", Reason]) ->
    {_, Pid} = get(top),
    Ref = monitor(process, Pid),
    exit(Pid, list_to_atom(Reason)),
    await_down(Ref),
    none;
step(_, ["wait", Ms]) -> timer:sleep(list_to_integer(Ms)), none;
step(Ctx, Request) -> request(Ctx, Request).

end_worker(Diary, Id, Reason) ->
    Pid = call(Diary, {pid, Id}),
    Ref = monitor(process, Pid),
    case Reason of
        "killed" -> exit(Pid, kill);
        _ -> gen_server:cast(Pid, {exit, list_to_atom(Reason)})
    end,
    await_down(Ref).

await_down(Ref) -> receive {'DOWN', Ref, process, _, _} -> ok end.

request({Diary, _} = Ctx, [Verb, Name | Arguments]) ->
    Supervisor = call(Diary, {pid, Name}),
    try
        case {Verb, Arguments} of
            {"start", [Id]} -> answer(supervisor:start_child(Supervisor, [Id]));
            {"start", Child} -> answer(supervisor:start_child(Supervisor, spec(Ctx, child(Child))));
            {"terminate", [Id]} -> answer(supervisor:terminate_child(Supervisor, Id));
            {"terminate_actor", [Id]} -> answer(supervisor:terminate_child(Supervisor, call(Diary, {pid, Id})));
            {"restart", [Id]} -> answer(supervisor:restart_child(Supervisor, Id));
            {"delete", [Id]} -> answer(supervisor:delete_child(Supervisor, Id))
        end
    catch
        exit:_ -> "noproc"
    end.

answer(ok) -> "ok";
answer({ok, _}) -> "ok";
answer({error, {already_started, _}}) -> "already_started";
answer({error, {bad_combination, _}}) -> "invalid";
answer({error, Reason}) when is_atom(Reason), Reason =/= no_luck -> atom_to_list(Reason);
answer({error, _}) -> "failed".

%% What came of a step, once nothing goes on any more.
report({Diary, _} = Ctx, Step, Answer) ->
    States = settle(Ctx, none, 0),
    Ended = lists:sort(ended()),
    [watch(Name, Pid) || {Name, Pid, _} <- States],
    {Events, Answers} = call(Diary, take),
    Shown = case Step of
                ["unordered" | _] -> lists:sort(Events);
                _ -> Events
            end,
    lists:append([[lists:join(" ", Step)],
                  ["  answer: " ++ Answer || Answer =/= none],
                  [["  events: ", lists:join(" ", Shown)] || Shown =/= []],
                  [["  during: ", Text, ": ", Result] || {_, Text, Result} <- Answers],
                  Ended,
                  [["  ", State] || {_, _, State} <- States]]).

settle(_, Seen, ?SAME_ROUNDS) -> element(2, Seen);
settle({Diary, _} = Ctx, Seen, Times) ->
    {_, _, Live} = call(Diary, look),
    [catch gen_server:call(Worker, ping, infinity) || Worker <- Live],
    States = case get(top) of
                 {Name, Pid} -> states(Ctx, Name, Pid);
                 _ -> []
             end,
    case {call(Diary, look), States} of
        {{_, Waiting, _}, _} when Waiting > 0 -> settle(Ctx, none, 0);
        Seen -> settle(Ctx, Seen, Times + 1);
        Now -> settle(Ctx, Now, 1)
    end.

states({Diary, _} = Ctx, Name, Pid) ->
    try {supervisor:which_children(Pid), supervisor:count_children(Pid)} of
        {Children, Counts} ->
            %% OTP lists the child that was started last first; without ids it has no order.
            Shown = case Children of
                        [{undefined, _, _, _} | _] -> lists:sort([dynamic_state(Diary, C) || C <- Children]);
                        _ -> [child_state(C) || C <- lists:reverse(Children)]
                    end,
            Numbers = [[" ", integer_to_list(proplists:get_value(K, Counts))]
                       || K <- [specs, active, supervisors, workers]],
            Own = lists:flatten([Name, ":", [[" ", S] || S <- Shown], " |", Numbers]),
            [{Name, Pid, Own} | lists:append([states(Ctx, Id, P) || {Id, P, supervisor, _} <- lists:reverse(Children), is_pid(P)])]
    catch
        exit:_ -> []
    end.

child_state({Id, Pid, _, _}) when is_pid(Pid) -> Id;
child_state({Id, undefined, _, _}) -> Id ++ ":stopped";
child_state({Id, restarting, _, _}) -> Id ++ ":restarting".

dynamic_state(Diary, {undefined, Pid, _, _}) when is_pid(Pid) -> call(Diary, {name, Pid});
dynamic_state(_, {undefined, restarting, _, _}) -> "?:restarting".

watch(Name, Pid) ->
    Watched = get(watched),
    case lists:member({Name, Pid}, maps:values(Watched)) of
        true -> ok;
        false -> put(watched, Watched#{monitor(process, Pid) => {Name, Pid}})
    end.

ended() ->
    receive
        {'DOWN', Ref, process, Pid, Reason} ->
            {{Name, Pid}, Watched} = maps:take(Ref, get(watched)),
            put(watched, Watched),
            get(top) =:= {Name, Pid} andalso put(top, none),
            ["  ended: " ++ Name ++ " " ++ word(Reason) | ended()];
        {'EXIT', _, _} -> ended()
    after 0 -> []
    end.
